"""Writes the directory of a sweep. Every change is one small file, which is complete or absent.

Rule 1: trials are created by rename(): the first reconciliation creates the trial, and another one notices that.
        Attempts are in `attempt_writer`.
Rule 2: a trial is written before it is submitted.
"""

import dataclasses
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from unetsweep import contract
from unetsweep.atomic import append_line, link_first, rename_folder, temporary_path, write_text
from unetsweep.bounded_json import read_json
from unetsweep.clock import utc_now
from unetsweep.config.load import load_stored
from unetsweep.contract import Result, TrialConfig
from unetsweep.core import paths
from unetsweep.core.metric import Metric
from unetsweep.core.missing_points import LISTED
from unetsweep.core.observation import EpochReport, Observation
from unetsweep.core.space import Space
from unetsweep.core.spec import SweepSpec
from unetsweep.core.trials import StoredTrial
from unetsweep.errors import SpecError, StateError
from unetsweep.record_files import link_record, link_records, read_record, write_record
from unetsweep.records import DataFile, MarkFile, SweepFile
from unetsweep.regular_files import is_damage, quarantine_file, read_bytes, touch
from unetsweep.store import home, observation
from unetsweep.store.attempt_writer import AttemptWriter
from unetsweep.store.code_snapshot import pinned_hash
from unetsweep.store.collectable_runs import CollectableRuns
from unetsweep.store.lease import file_server_time
from unetsweep.store.permissions import check_private
from unetsweep.store.progress import read_progress
from unetsweep.store.trials import make_trial_file, read_stored_trial, read_trial, space_of, sweep_name


class SweepDir(AttemptWriter):
    """The directory of one sweep."""

    def __init__(self, root: Path, now: Callable[[], datetime] = utc_now) -> None:
        super().__init__(root.absolute(), now)
        self.name = sweep_name(self.root)

    # ---- the sweep as a whole

    def exists(self) -> bool:
        """Whether the sweep was created."""
        return os.path.lexists(self.root / paths.SPEC)

    def create(
        self,
        yaml: str,
        executor: str,
        data: DataFile | None = None,
        working: str | None = None,
        cluster: str | None = None,
        overrides: tuple[str, ...] = (),
    ) -> bool:
        """Create the directory, which only the user can read, and return True; False if another submit has created it.

        `sweep.yaml` is written last, by link(): before it exists there is no sweep, and afterwards nothing is written
        here. So a call may be repeated after a kill, with other arguments too. It replaces what the killed one wrote.

        `data`: its images. `working`: the directory in which a trainer command starts (default: the current one).
        `cluster`: the cluster of its jobs, if it is known. `overrides`: `KEY=VALUE` of each `--set`.
        """
        self.root.mkdir(parents=True, mode=0o700, exist_ok=True)
        self.check_private()
        for folder in (paths.TRIALS, paths.RUNS, paths.SUBMISSIONS):
            (self.root / folder).mkdir(mode=0o700, exist_ok=True)
        working = working or os.getcwd()
        about = SweepFile(executor, cluster, str(self.root), self._now(), working, overrides=overrides)
        if self.next_trial() == 0 or not (self.root / paths.SWEEP).exists():  # else only sweep.yaml was lost
            self._write_unless_created(paths.SWEEP, about)
        if data is not None:
            self._write_unless_created(paths.DATA, data)
        return self._link_spec(yaml)

    def _write_unless_created(self, name: str, record: object) -> None:
        """Replace a file of the sweep, unless the sweep exists when its content is complete."""
        write_record(self.root / name, record, is_allowed=lambda: not self.exists())

    def _link_spec(self, yaml: str) -> bool:
        """Create `sweep.yaml` unless it exists; return whether this call created it."""
        path = self.root / paths.SPEC
        made = temporary_path(path)
        try:
            write_text(made, yaml)
            return link_first(made, path)
        finally:
            made.unlink(missing_ok=True)

    def spec(self) -> SweepSpec:
        """Load `sweep.yaml`; StateError if it is missing or unreadable."""
        try:
            return load_stored(self.root / paths.SPEC)
        except SpecError as error:
            if not os.path.lexists(self.root / paths.SPEC):
                raise StateError(f"{self.root / paths.SPEC}: is missing") from None
            raise StateError(str(error)) from error

    def spec_text(self) -> bytes:
        """Read `sweep.yaml` as it is; StateError if it is missing or unreadable."""
        try:
            return read_bytes(self.root / paths.SPEC)
        except FileNotFoundError:
            raise StateError(f"{self.root / paths.SPEC}: is missing") from None

    def pin_images(self, data: DataFile) -> None:
        """Record the images of the sweep and their split."""
        write_record(self.root / paths.DATA, data)

    def check_private(self) -> None:
        """ExposedError if others may write into the directory, since jobs run files in it."""
        check_private(self.root)

    def replace_spec(self, yaml: str) -> None:
        """Replace `sweep.yaml`."""
        write_text(self.root / paths.SPEC, yaml)

    @property
    def data(self) -> DataFile | None:
        """The images of the sweep; None: it pins none. StateError if the file is unreadable."""
        return read_data(self.root / paths.DATA)

    @property
    def executor(self) -> str:
        return home.read_sweep_file(self.root).executor

    @property
    def overrides(self) -> tuple[str, ...]:
        """`KEY=VALUE` of each `--set` that holds for this sweep."""
        return home.read_sweep_file(self.root).overrides

    @property
    def cluster(self) -> str | None:
        """The cluster of its jobs; None: local, or not known."""
        return home.read_sweep_file(self.root).cluster

    @property
    def working_directory(self) -> str:
        """The directory that the sweep was submitted from, in which a trainer command starts."""
        return home.read_sweep_file(self.root).working_directory

    def observe(self, metric: Metric | None = None) -> Observation:
        """Observe everything except the jobs. Published results count if they have the `metric`; None: all do."""
        found = observation.observe(self.root, metric)
        return dataclasses.replace(found, collectable=CollectableRuns(self.root).list_marked())

    # ---- trials

    def code(self) -> str | None:
        """Return the hash of the package that new jobs run; None: it is not pinned."""
        return pinned_hash(self.root) or None

    def add_trials(
        self,
        configs: Sequence[TrialConfig],
        origin: Mapping[str, Any] | None = None,
        first: int | None = None,
        runs: Sequence[int] | None = None,
        space: Space | None = None,
        listed: Sequence[bool] = (),
    ) -> list[int]:
        """Add trials with numbers from `first` (default: the first free number); return the numbers that were added.

        `runs`: the run of each; None: each has its own. `space`: the sweep's; None: that of its
        sweep.yaml. `listed`: of each whether it is made for a listed point; empty: none is.

        All files of a trial appear at once, when their folder is renamed. If another reconciliation has created a trial
        with the same number, that trial stays, and so does its run. A trial that would share such a run is not added,
        nor is any later one, so the numbers have no gap.
        """
        start = self.next_trial() if first is None else first
        run_of = dict(enumerate(runs, start)) if runs is not None else {}
        code, swept = self.code(), space_of(self.root) if space is None else space
        folders: dict[int, Path] = {}
        files: list[tuple[Path, object]] = []
        added: list[int] = []
        try:
            for number, config in enumerate(configs, start):
                folder = self.root / paths.trial_dir(number)
                made = folders[number] = temporary_path(folder)
                made.mkdir()
                about = make_trial_file(number, config, swept, self._now(), run_of.get(number))
                about = dataclasses.replace(about, code=code, **(origin or {}))
                if listed and listed[number - start]:
                    about = dataclasses.replace(about, sampler=LISTED)
                files += [(made / paths.CONFIG, config), (made / paths.TRIAL, about)]
            link_records(files)
            for number in [*folders]:
                run = run_of.get(number, number)
                if start <= run < number and run not in added:
                    break  # its run belongs to another reconciliation, perhaps with other parameters
                if rename_folder(folders.pop(number), self.root / paths.trial_dir(number)):
                    added.append(number)
        finally:
            for made in folders.values():  # those that became no trial
                shutil.rmtree(made, ignore_errors=True)
        return added

    def next_trial(self) -> int:
        """Return the first number without a trial."""
        return max((number for number, _ in observation.trial_folders(self.root)), default=-1) + 1

    def trials(self) -> list[StoredTrial]:
        """Read every trial in order, with its result if it has ended."""
        return [read_stored_trial(number, folder) for number, folder in observation.trial_folders(self.root)]

    def progress(self, run: int) -> tuple[EpochReport, ...]:
        """Read every finished epoch of a run, in order."""
        folder = self.root / paths.run_dir(run)
        return read_progress(folder, os.listdir(folder)).points if folder.exists() else ()

    def run_of(self, trial: int) -> int:
        return read_trial(self.root / paths.trial_dir(trial)).run

    def config_path(self, trial: int) -> Path:
        return self.root / paths.trial_dir(trial) / paths.CONFIG

    def cancel_trial(self, trial: int) -> None:
        """Record that the user cancelled a trial: SLURM forgets a pending element as soon as it is cancelled."""
        (self.root / paths.trial_dir(trial)).mkdir(exist_ok=True)  # its folder may be lost
        link_record(self.root / paths.trial_dir(trial) / paths.CANCELLED, MarkFile(self._now()))

    def cancel_sweep(self) -> None:
        """Record that the user cancelled the whole sweep: no new trials are proposed until `resume`."""
        link_record(self.root / paths.CANCELLED, MarkFile(self._now()))

    def resume(self) -> None:
        """Let new trials be proposed again."""
        (self.root / paths.CANCELLED).unlink(missing_ok=True)

    def milestone(self, run: int, epochs: int) -> Result | None:
        """Read the result that a run published at a milestone; None: none yet."""
        path = self.root / paths.run_dir(run) / paths.milestone(epochs)
        return contract.result_from(read_json(path), str(path)) if path.exists() else None

    def end_trial(self, trial: int, result: Result) -> bool:
        """Write the trial's result.json; return False if it has one."""
        return link_record(self.root / paths.trial_dir(trial) / paths.RESULT, result)

    # ---- reconciliations

    def mark_reconciled(self) -> None:
        """Record that a reconciliation begins, so no periodic one is due for a while."""
        touch(self.root / paths.LAST_RECONCILIATION)

    def seconds_since_reconciliation(self) -> float | None:
        """Return how long ago the last reconciliation began, by the file server's clock; None: there was none.

        A time in the future, left by a clock that was set back, counts as equally long ago.
        """
        mark = self.root / paths.LAST_RECONCILIATION
        return abs(file_server_time(mark) - mark.stat().st_mtime) if mark.exists() else None

    def note(self, **content: object) -> None:
        """Append a line to the sweep's log, which is for people: no decision depends on it."""
        path = self.root / paths.LEDGER
        try:
            append_line(path, content)
        except OSError as error:
            if not is_damage(error):
                raise
            quarantine_file(path)
            append_line(path, content)


def read_data(path: Path) -> DataFile | None:
    """Read data.json; None: it does not exist. StateError if it is unreadable."""
    try:
        data = read_record(DataFile, path)
    except FileNotFoundError:
        return None
    if not all(isinstance(data.manifest.get(part), Mapping) for part in ("train", "val", "test")):
        raise StateError(f"{path}: manifest: train, val and test are expected, each with its images")
    return data
