"""One trial in the live view: its learning curve and the end of its log. No scheduler is asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unetsweep.app.log_files import log_of
from unetsweep.core.live import LiveSweep
from unetsweep.core.live_text import epoch_text
from unetsweep.errors import StateError
from unetsweep.regular_files import read_end
from unetsweep.store.observation import read_run
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.texts import printable

LOG_BYTES = 32 * 1024
"""How much of a log is read: more than a terminal shows."""


@dataclass(frozen=True, slots=True)
class TrialPeek:
    """What the view shows of one trial."""

    number: int
    state: str
    facts: str
    """Epoch, node and job, as far as they are known; may be empty."""
    reason: str
    """Why it failed or waits; may be empty."""
    metric: str
    curve: Sequence[tuple[int, float]]
    """Epoch and value of the metric, in order."""
    log: str
    """Path of its log, or why there is none."""
    lines: Sequence[str]
    """The end of the log, as printable text."""


def peek(directory: SweepDir, sweep: LiveSweep, number: int) -> TrialPeek:
    """What is known of a trial now. `sweep`: the model that shows it."""
    live = next((trial for trial in sweep.open_trials if trial.number == number), None)
    failed = next((each for each in sweep.failures if number in each.trials), None)
    state = "failed" if failed is not None else (live.state if live is not None else "ended")
    reason = failed.reason if failed is not None else (live.reason if live is not None else "")
    curve: Sequence[tuple[int, float]] = live.curve if live is not None else ()
    facts = []
    if live is not None:
        facts = [f"epoch {text}"] if (text := epoch_text(live)) else []
        facts += [f"on {live.node}"] if live.node is not None else []
        facts += [f"job {live.job_id}"] if live.job_id is not None else []
    try:
        run = read_run(directory.root, directory.run_of(number))
        if live is None:
            metric = directory.spec().metric
            points = [(each.epoch, metric.of_epoch(each)) for each in run.progress]
            curve = [(epoch, value) for epoch, value in points if value is not None]
        path = None if run.last is None else log_of(directory, run.number, run.last.number)
        log, lines = ("no job yet, so there is no log", []) if path is None else (str(path), log_tail(path))
    except (StateError, OSError) as error:
        log, lines = f"the log cannot be found: {str(error).splitlines()[0]}", []
    return TrialPeek(number, state, ", ".join(facts), reason, sweep.metric, curve, log, lines)


def log_tail(path: Path) -> list[str]:
    """The last lines of a log, as printable text; of a progress bar its last state."""
    try:
        text = read_end(path, LOG_BYTES).decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    lines = text.rstrip("\n").split("\n")
    return [printable(line.rstrip("\r").rpartition("\r")[2]).rstrip() for line in lines]
