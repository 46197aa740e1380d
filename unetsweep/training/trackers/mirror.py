"""Copies a finished training to the trackers that its config switches on.

An upload starts when the archive is complete. Live logging would need the tracker's threads, and its waits of up to
minutes at the end, in the process that holds the GPUs. `unetsweep sync` uploads what a kill, a missing key or a missing
network left behind.
"""

import logging
import threading
import time
from pathlib import Path

from unetsweep.contract import TrialConfig
from unetsweep.errors import UnetsweepError
from unetsweep.training.trackers import table
from unetsweep.training.trackers.export import read_export
from unetsweep.training.trackers.tracker import Tracker

MIRROR_S = 30.0
"""How long the end of a training waits for all trackers: srun kills a rank that outlives the others by the site's
WaitTime."""
UPLOAD_AT_END_S = 15.0
"""Time limit of an upload at the end of a training: half of `MIRROR_S`, as writing the archive takes time too."""

_log = logging.getLogger(__name__)


def mirror(config: TrialConfig, out: Path, run: str) -> None:
    """Copy the training in `out` to each tracker that its config switches on. Never raises.

    `run` is the name of the run: `grid/0003`. The trackers work at the same time, and no longer than `MIRROR_S`, so one
    that hangs holds up no other.
    """
    copies = [_Copy(name, tracker, config, out, run) for name, tracker in table.switched_on(config.trainer).items()]
    for copy in copies:
        copy.start()
    until = time.monotonic() + MIRROR_S
    for copy in copies:
        copy.join(max(0.0, until - time.monotonic()))
        problem = f"still busy after {MIRROR_S:.0f} s" if copy.is_alive() else copy.problem
        if problem is not None:
            again = "the results are not affected; run `unetsweep sync` to upload them later"
            _log.warning("%s: %s; %s", copy.name, problem, again)


class _Copy(threading.Thread):
    """Copies one training to one tracker."""

    def __init__(self, name: str, tracker: Tracker, config: TrialConfig, out: Path, run: str) -> None:
        super().__init__(name=name, daemon=True)
        self._tracker, self._config, self._out, self._run_name = tracker, config, out, run
        self.problem: str | None = None
        """Why it failed; None: it did not fail."""

    def run(self) -> None:
        """Write the archive, and upload it if the mode is `online`."""
        try:
            self._copy()
        except BaseException as error:  # a library may even raise SystemExit
            text = str(error) if isinstance(error, UnetsweepError) else f"{type(error).__name__}: {error}"
            self.problem = text

    def _copy(self) -> None:
        tracker = self._tracker
        archive = tracker.write_archive(read_export(self._config, self._out, self._run_name), self._out)
        if table.mode(tracker, self._config.trainer) == "online" and not tracker.is_uploaded(archive):
            tracker.check_reachable()
            tracker.upload(archive, UPLOAD_AT_END_S)
