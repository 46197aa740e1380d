"""Reads what a report page shows beside the results: curves, importances, cost, pictures, provenance.

Rule 1: a file that cannot be read is a warning on the page, never an error: the page shows what is left.
Rule 2: no torch, and no scheduler. Accounting is asked only if the caller has read the costs with it.
"""

import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from unetsweep.analysis.rows import SweepRecord, TrialRecord, ranked_points
from unetsweep.app.executors import executor_of
from unetsweep.app.overview import why_paused
from unetsweep.app.page_pictures import read_pictures
from unetsweep.clock import utc_now
from unetsweep.core import cost, paths
from unetsweep.core.cost import Cost, RunTimeline
from unetsweep.core.cost_split import CostSplit, cost_split
from unetsweep.core.missing_points import trials_wanted
from unetsweep.core.observation import EpochReport
from unetsweep.core.sweep_state import sweep_state
from unetsweep.errors import StateError, UnetsweepError
from unetsweep.record_files import read_record
from unetsweep.records import CodeFile, DataFile
from unetsweep.report.page.content import Importances, PageContent, RunCurve
from unetsweep.report.page.provenance import facts
from unetsweep.report.summary import state_counts
from unetsweep.report.trial_texts import parameter_name
from unetsweep.store.observation import list_names
from unetsweep.store.progress import read_progress
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.store.timelines import read_timeline
from unetsweep.store.trials import with_repair_advice
from unetsweep.texts import counted


def read_content(record: SweepRecord, directory: SweepDir) -> PageContent:
    """What the page of a sweep shows beside its record. If the record has costs, the split of the time is theirs."""
    warnings = list[str]()
    runs = _read_runs(record, directory, warnings)
    pictures, damaged = read_pictures(record, directory)
    return PageContent(
        made_at=utc_now(),
        state=_state(record, directory),
        facts=facts(record, _data(directory), _code(directory, warnings)),
        config=_config(directory),
        curves=tuple(_curve(record, run) for run in runs),
        importances=_importances(record),
        cost=_cost(record, directory, runs),
        pictures=pictures,
        warnings=(*warnings, *damaged),
    )


@dataclass(frozen=True, slots=True)
class _Run:
    """A run with its progress."""

    folder: Path
    trials: tuple[TrialRecord, ...]
    epochs: Sequence[EpochReport]

    @property
    def is_open(self) -> bool:
        return any(trial.result is None for trial in self.trials)


def _read_runs(record: SweepRecord, directory: SweepDir, warnings: list[str]) -> list[_Run]:
    """The runs of a sweep in the order of their first trials."""
    trials_of: dict[str, list[TrialRecord]] = {}
    for trial in record.trials:
        if trial.run_dir:
            trials_of.setdefault(trial.run_dir, []).append(trial)
    found = []
    for run, trials in trials_of.items():
        epochs: Sequence[EpochReport] = ()
        try:
            epochs = read_progress(Path(run), list_names(run)).points
        except FileNotFoundError:
            pass  # it has not started
        except (StateError, OSError) as error:
            warnings.append(with_repair_advice(str(error), directory.root))
        found.append(_Run(Path(run), tuple(trials), epochs))
    return found


def _curve(record: SweepRecord, run: _Run) -> RunCurve:
    metric = record.spec.metric
    values = ((epoch.epoch, metric.of_epoch(epoch)) for epoch in run.epochs)
    points = tuple((epoch, value) for epoch, value in values if value is not None)
    done = max((epoch.epoch for epoch in run.epochs), default=0)
    return RunCurve(tuple(trial.number for trial in run.trials), points, done)


def _state(record: SweepRecord, directory: SweepDir) -> str:
    """The state of the sweep in one word, and after a colon why it is paused."""
    states, root = state_counts(record.trials), directory.root
    paused = None
    with contextlib.suppress(UnetsweepError, OSError):  # a damaged file is shown at its trial
        paused = why_paused(root, states)
    cancelled = os.path.lexists(root / paths.CANCELLED)
    found = sweep_state(states, trials_wanted(record.spec), is_cancelled=cancelled, is_paused=paused is not None)
    return f"{found.value}: {paused}" if paused else found.value


def _data(directory: SweepDir) -> DataFile | None:
    with contextlib.suppress(StateError, OSError):  # the record has a warning about it
        return directory.data
    return None


def _code(directory: SweepDir, warnings: list[str]) -> CodeFile | None:
    try:
        return read_record(CodeFile, directory.root / paths.CODE_NOTE)
    except FileNotFoundError:
        return None
    except (StateError, OSError) as error:
        warnings.append(with_repair_advice(str(error), directory.root))
        return None


def _config(directory: SweepDir) -> str:
    with contextlib.suppress(StateError, OSError):
        return directory.spec_text().decode("utf-8", "replace")
    return ""


def _importances(record: SweepRecord) -> Importances:
    from unetsweep.search.importances import ENOUGH, parameter_importances  # with Optuna: only if a page is made

    scored = [(point.trials[0].params, point.mean) for point in ranked_points(record) if point.mean is not None]
    if len(scored) < ENOUGH:
        points = counted(len(scored), "complete point")
        return Importances(note=f"Importances of the parameters need {ENOUGH} complete points; there are {points}.")
    found = parameter_importances(record.spec, scored)
    if not found:
        return Importances(note="Importances of the parameters are not known: nothing varies, or all scores are equal.")
    note = f"How far the best tenth of {len(scored)} points differs from all of them in each parameter (PED-ANOVA)."
    return Importances({parameter_name(path): share for path, share in found.items()}, note)


def _cost(record: SweepRecord, directory: SweepDir, runs: Sequence[_Run]) -> CostSplit | None:
    """Where the time of the jobs went; None: the files do not say."""
    try:
        allocates = executor_of(directory).allocates_cpus
    except (UnetsweepError, OSError):
        return None
    timelines = [read_timeline(run.folder, is_open=run.is_open) for run in runs]
    known = [timeline for timeline in timelines if timeline is not None]
    whole = record.cost or _cost_of_files(record, known, len(timelines) - len(known), allocates_cpus=allocates)
    seconds = sum(epoch.seconds or 0.0 for run in runs for epoch in run.epochs)
    return cost_split(whole, known, seconds, uses_gpus=bool(record.spec.slurm.gpus))


def _cost_of_files(record: SweepRecord, timelines: Sequence[RunTimeline], unread: int, *, allocates_cpus: bool) -> Cost:
    """What the runs have cost by the times in their files."""
    resources, now = cost.training_resources(record.spec, allocates_cpus=allocates_cpus), time.time()
    total = cost.total(cost.run_cost(timeline, {}, resources, now) for timeline in timelines)
    return replace(total, unread_runs=unread)
