"""`list`: all sweeps of a folder, each in a few numbers. No scheduler is asked.

Rule 1: the numbers of a sweep that has ended are stored, because reading the results of dozens of sweeps takes long.
        They count only as long as no file of a trial has changed. Those of other sweeps are read each time.
Rule 2: a sweep that cannot be read is a row that says so. It does not hide the others.
"""

import contextlib
import hashlib
import os
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from unetsweep.analysis.records import read_sweep_record
from unetsweep.analysis.rows import SweepRecord, TrialRecord, best, ranked_points
from unetsweep.app.addresses import known_sweeps
from unetsweep.app.executors import executor_of
from unetsweep.core import cost, paths
from unetsweep.core.circuit_breaker import pause_reason
from unetsweep.core.missing_points import trials_wanted
from unetsweep.core.sweep_state import SweepState, open_trials, sweep_state
from unetsweep.errors import StateError, UnetsweepError
from unetsweep.record_files import read_record, write_record
from unetsweep.records import SummaryFile
from unetsweep.store.home import read_sweep_file, relocation_warning
from unetsweep.store.observation import trial_folders
from unetsweep.store.permissions import check_private
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.store.timelines import read_timeline
from unetsweep.store.trials import sweep_name


@dataclass(frozen=True, slots=True)
class SweepOverview:
    """One sweep in the list."""

    name: str
    folder: Path
    state: SweepState
    summary: SummaryFile | None
    """None: the sweep cannot be read."""
    created: datetime | None
    """None: not known."""
    problem: str | None
    """Why it is damaged or paused, or may be out of date; None: there is no problem."""

    def as_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        known = self.summary
        return {
            "sweep": self.name,
            "folder": str(self.folder),
            "state": self.state.value,
            "trials": None if known is None else dict(known.states),
            "open": None if known is None else open_trials(known.states),
            "wanted": None if known is None else known.wanted,
            "metric": None if known is None else known.metric,
            "best": None if known is None or known.best is None else {"trial": known.best, "score": known.score},
            "gpu_hours": None if known is None or known.unit != "GPU" else round(known.hours, 4),
            "cpu_hours": None if known is None or known.unit != "CPU" else round(known.hours, 4),
            "created": None if self.created is None else self.created.isoformat(),
            "problem": self.problem,
        }


def list_sweeps(results: Path) -> list[SweepOverview]:
    """All sweeps and confirmations in a folder, the newest first; those whose age is not known are last."""
    found = [_overview(root.absolute()) for root in known_sweeps(results)]
    return sorted(found, key=lambda each: -each.created.timestamp() if each.created is not None else 0.0)


def _overview(root: Path) -> SweepOverview:
    created: datetime | None = None
    try:
        created = read_sweep_file(root).created
        summary = summarise(root)
        paused = why_paused(root, summary.states)
    except (UnetsweepError, OSError) as error:
        return SweepOverview(sweep_name(root), root, SweepState.DAMAGED, None, created, _why_damaged(error, root))
    cancelled = os.path.lexists(root / paths.CANCELLED)
    state = sweep_state(summary.states, summary.wanted, is_cancelled=cancelled, is_paused=paused is not None)
    problem = paused or _damage(root, summary) or relocation_warning(root)
    return SweepOverview(sweep_name(root), root, state, summary, created, problem)


def _why_damaged(error: UnetsweepError | OSError, root: Path) -> str:
    reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error).splitlines()[0]
    return reason if "unetsweep repair" in reason else f"{reason}; run `unetsweep repair {sweep_name(root)}`"


def _damage(root: Path, summary: SummaryFile) -> str | None:
    if not summary.damaged:
        return None
    are = "1 trial has" if summary.damaged == 1 else f"{summary.damaged} trials have"
    return f"{are} unreadable files; run `unetsweep repair {sweep_name(root)}`"


def why_paused(root: Path, states: Mapping[str, int]) -> str | None:
    """Why the sweep is paused; None: it is not. That is asked only if it is possible: the answer needs every open
    trial. `states`: how many trials are in each state."""
    if not open_trials(states) or any(states.get(state) for state in ("complete", "pruned", "diverged", "running")):
        return None
    directory = SweepDir(root)
    return pause_reason(directory.observe(directory.spec().metric))


# ---- the summary


def summarise(root: Path) -> SummaryFile:
    """A sweep in a few numbers, from its stored summary or from its files. That of an ended sweep is then stored.

    Errors as `read_sweep_record`.
    """
    files = _fingerprint(root)
    if files is not None and (known := _stored(root)) is not None and known.files == files:
        return known
    record = read_sweep_record(root)
    found = _summary(record, root, files or "")
    if files is not None and files == _fingerprint(root):  # else a file has changed while the record was read
        _store(root, found)
    return found


def _fingerprint(root: Path) -> str | None:
    """The number of trials, and a digest of when their files and sweep.yaml were changed; None: a trial is open.

    Two changes within one tick of the file server's clock differ in the inode or the size.
    """
    count, digest = 0, hashlib.sha256(_mark(root / paths.SPEC))
    for _, folder in trial_folders(root):
        count += 1
        for name in (paths.RESULT, paths.TRIAL):
            try:
                digest.update(_mark(f"{folder}/{name}"))
            except FileNotFoundError:
                return None
    return f"{count}-{digest.hexdigest()[:32]}" if count else None


def _mark(path: Path | str) -> bytes:
    """What differs after a file has been replaced."""
    found = os.stat(path)
    return f"{found.st_mtime_ns} {found.st_size} {found.st_ino}\n".encode()


def _stored(root: Path) -> SummaryFile | None:
    try:
        return read_record(SummaryFile, root / paths.SUMMARY)
    except (StateError, OSError):
        return None


def _store(root: Path, summary: SummaryFile) -> None:
    """Store the summary if that is possible: on another user's sweep or a full disk it is made again each time."""
    with contextlib.suppress(OSError, StateError):
        check_private(root)
        (root / paths.REPORT).mkdir(exist_ok=True)
        write_record(root / paths.SUMMARY, summary)


def _summary(record: SweepRecord, root: Path, files: str) -> SummaryFile:
    found = best(record)
    metric = record.spec.metric
    used = _used(record, SweepDir(root))
    uses_gpus = bool(record.spec.slurm.gpus)
    return SummaryFile(
        files=files,
        states=dict(Counter(trial.state for trial in record.trials)),
        wanted=trials_wanted(record.spec),
        metric=metric.label,
        best=None if found is None else found.number,
        score=_best_score(record, found),
        hours=(used.gpu_seconds if uses_gpus else used.cpu_seconds) / 3600,
        unit="GPU" if uses_gpus else "CPU",
        damaged=sum(trial.problem is not None for trial in record.trials),
    )


def _best_score(record: SweepRecord, trial: TrialRecord | None) -> float | None:
    """The metric of the best trial; with repeats the mean of its point."""
    if record.spec.study.repeats > 1:
        return next((point.mean for point in ranked_points(record)), None)
    return None if trial is None or trial.result is None else record.spec.metric.of_result(trial.result)


def _used(record: SweepRecord, directory: SweepDir) -> cost.Cost:
    """What the runs of a sweep have cost by the times in their files: SLURM's accounting is not asked."""
    resources = cost.training_resources(record.spec, allocates_cpus=executor_of(directory).allocates_cpus)
    is_open: dict[str, bool] = {}
    for trial in record.trials:
        is_open[trial.run_dir] = is_open.get(trial.run_dir, False) or trial.result is None
    timelines = (read_timeline(Path(run), is_open=each) for run, each in is_open.items())
    now = time.time()
    return cost.total(cost.run_cost(each, {}, resources, now) for each in timelines if each is not None)
