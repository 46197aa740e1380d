"""Sweeps beside each other: what came out of each, in which settings they differ, and the points that all have trained.

Rule 1: scores are set against each other only if the sweeps have the same metric. Where they are of other images or
        sizes, a warning says so.
"""

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from unetsweep.analysis.compared_sweeps import CommonPoint, ComparedSweep, common_points, varying
from unetsweep.analysis.rows import PointRecord, SweepRecord
from unetsweep.contract import Result
from unetsweep.core.sweep_state import OPEN
from unetsweep.report.columns import LEAKED, number_text, rate_text, value_text
from unetsweep.report.plain import DATA
from unetsweep.report.points import mean_text
from unetsweep.report.summary import FAILED
from unetsweep.report.trial_texts import parameter_name
from unetsweep.texts import counted, one_line, score_text, shortened
from unetsweep.trial_config import ParameterValue

_LONGEST = 60
"""Characters of a setting at most; the JSON report has it whole."""


@dataclass(frozen=True, slots=True)
class ComparisonTable:
    """One table of a comparison."""

    name: str
    """Its key in the JSON report."""
    title: str
    heading: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """For people."""
    objects: tuple[Mapping[str, Any], ...]
    """The same rows for programs; None: there is no value."""
    best: int | None = None
    """The row that stands out; None: no row does."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that a report shows of several sweeps."""

    tables: tuple[ComparisonTable, ...]
    """`sweeps`, then `settings` and `points` if they have rows."""
    sentences: tuple[str, ...]
    """What the tables amount to."""
    warnings: tuple[str, ...]


def compare(sweeps: Sequence[ComparedSweep]) -> Comparison:
    """Compare two sweeps or more."""
    common = common_points(sweeps) if _have_same_metric(sweeps) else []
    tables = (_sweeps_table(sweeps), _settings_table(sweeps), _points_table(sweeps, common))
    return Comparison(
        tuple(table for table in tables if table.rows), tuple(_sentences(sweeps, common)), tuple(_warnings(sweeps))
    )


def _have_same_metric(sweeps: Sequence[ComparedSweep]) -> bool:
    return len({(each.record.spec.metric.name, each.record.spec.metric.minimize) for each in sweeps}) == 1


@dataclass(frozen=True, slots=True)
class SweepSummary:
    """A sweep in a row. Each field is a key of the JSON report."""

    sweep: str
    trials: int
    complete: int
    pruned: int
    failed: int
    """Failed or diverged."""
    open: int
    best_trial: int | None
    """None: no trial is complete."""
    metric: str
    score: float | None
    """The metric of the best trial; with `study.repeats` the mean of its point, and `sd` its standard deviation."""
    sd: float | None
    test_iou: float | None
    epochs: int
    """Epochs that were trained; those of a shared run count once."""
    hours: float | None
    """What its jobs used; None: not known."""
    unit: str
    """Of `hours`: `GPU`, or `CPU` if the sweep uses no GPU."""

    def cells(self, *, names_metric: bool, has_test: bool) -> tuple[str, ...]:
        numbers = (self.trials, self.complete, self.pruned, self.failed, self.open)
        return (
            *(one_line(self.sweep), *map(str, numbers)),
            "-" if self.best_trial is None else number_text(self.best_trial),
            *((one_line(self.metric),) if names_metric else ()),
            mean_text(self.score, self.sd),
            *((("-" if self.test_iou is None else score_text(self.test_iou)),) if has_test else ()),
            *(str(self.epochs), "-" if self.hours is None else f"{self.hours:.2f} {self.unit}"),
        )


def _sweeps_table(sweeps: Sequence[ComparedSweep]) -> ComparisonTable:
    same, found = _have_same_metric(sweeps), [_summary(each) for each in sweeps]
    has_test = any(each.test_iou is not None for each in found)
    val, test = (f" {LEAKED}" if any(part in each.record.leak for each in sweeps) else "" for part in ("val", "test"))
    score = (one_line(found[0].metric) + val,) if same else ("metric", f"score{val}")
    counts = ("trials", "complete", "pruned", "failed", "open")
    return ComparisonTable(
        "sweeps",
        "The sweeps",
        ("sweep", *counts, "best trial", *score, *((f"test_IoU{test}",) if has_test else ()), "epochs", "hours"),
        tuple(each.cells(names_metric=not same, has_test=has_test) for each in found),
        tuple(asdict(each) for each in found),
        _best_row(sweeps) if same else None,
    )


def _best_row(sweeps: Sequence[ComparedSweep]) -> int | None:
    sign = sweeps[0].record.spec.metric.sign
    known = [(sign * (each.ranking[0].mean or 0.0), at) for at, each in enumerate(sweeps) if each.ranking]
    return max(known, key=lambda pair: (pair[0], -pair[1]))[1] if known else None


def _summary(sweep: ComparedSweep) -> SweepSummary:
    record, best = sweep.record, sweep.ranking[0] if sweep.ranking else None
    states, gpus = [trial.state for trial in record.trials], record.spec.slurm.gpus
    hours = None if record.cost is None else (record.cost.gpu_seconds if gpus else record.cost.cpu_seconds) / 3600
    return SweepSummary(
        sweep=sweep.label,
        trials=len(states),
        complete=states.count("complete"),
        pruned=states.count("pruned"),
        failed=sum(states.count(state) for state in FAILED),
        open=sum(states.count(state) for state in OPEN),
        best_trial=None if best is None else best.best.number,
        metric=record.spec.metric.label,
        score=None if best is None else best.mean,
        sd=None if best is None else best.sd,
        test_iou=None if best is None else _mean_test(best),
        epochs=epochs_trained(record),
        hours=None if hours is None else round(hours, 4),
        unit="GPU" if gpus else "CPU",
    )


def _mean_test(point: PointRecord) -> float | None:
    found = [trial.result.test_iou for trial in point.complete if trial.result is not None]
    known = [score for score in found if score is not None]
    return statistics.fmean(known) if known else None


def epochs_trained(record: SweepRecord) -> int:
    """How many epochs the trials with a result were trained for; a shared run counts once."""
    longest: dict[str, int] = {}
    for trial in record.trials:
        if trial.result is not None:
            run = trial.run_dir or str(trial.number)
            longest[run] = max(longest.get(run, 0), _epochs_run(trial.result, trial.epochs))
    return sum(longest.values())


def _epochs_run(result: Result, asked: int) -> int:
    return asked if result.epochs_run is None else result.epochs_run


def _settings_table(sweeps: Sequence[ComparedSweep]) -> ComparisonTable:
    """The settings in which the sweeps differ, in the order of the file."""
    every = dict.fromkeys(path for each in sweeps for path in each.own_settings)
    differing = []
    for path in every:
        values = [each.own_settings.get(path, _ABSENT) for each in sweeps]
        if len({_setting_text(value) for value in values}) > 1:
            differing.append((path, values))
    return ComparisonTable(
        "settings",
        "The settings in which they differ",
        ("setting", *(each.label for each in sweeps)),
        tuple(
            (one_line(path), *(shortened(one_line(_setting_text(value)), _LONGEST) for value in values))
            for path, values in differing
        ),
        tuple(
            {
                "setting": path,
                "values": {
                    each.label: None if value is _ABSENT else value for each, value in zip(sweeps, values, strict=True)
                },
            }
            for path, values in differing
        ),
    )


_ABSENT = object()


def _setting_text(value: Any) -> str:
    """A setting as it may be written in the file; `-`: the sweep does not have it."""
    if value is _ABSENT:
        return "-"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_setting_text(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_setting_text, value))}]"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _points_table(sweeps: Sequence[ComparedSweep], common: Sequence[CommonPoint]) -> ComparisonTable:
    paths = varying(sweeps)
    labels = [each.label for each in sweeps]
    has_difference = len(sweeps) == 2
    metric = one_line(sweeps[0].record.spec.metric.label)
    return ComparisonTable(
        "points",
        f"{metric} of the points that all have trained",
        (*map(parameter_name, paths), *labels, *(("difference",) if has_difference else ())),
        tuple(
            (
                *(_value_text(path, value) for path, value in zip(paths, each.values, strict=True)),
                *(mean_text(point.mean, point.sd) for point in each.found),
                *((f"{each.difference:+.4f}",) if has_difference else ()),
            )
            for each in common
        ),
        tuple(
            {
                "params": dict(zip(paths, each.values, strict=True)),
                "scores": dict(zip(labels, (point.mean for point in each.found), strict=True)),
                **({"difference": each.difference} if has_difference else {}),
            }
            for each in common
        ),
    )


def _value_text(path: str, value: ParameterValue) -> str:
    if value is None:
        return "-"
    return rate_text(value) if path == "learning_rate" and isinstance(value, float) else value_text(value)


def _sentences(sweeps: Sequence[ComparedSweep], common: Sequence[CommonPoint]) -> Iterator[str]:
    """What the common points amount to."""
    if not _have_same_metric(sweeps):
        return
    if not common:
        yield "no point has a score in every sweep, so only their best trials are beside each other"
    elif len(sweeps) == 2:
        metric = sweeps[0].record.spec.metric
        differences = [each.difference for each in common]
        better = sum(metric.sign * each > 0 for each in differences)
        spread = statistics.stdev(differences) if len(differences) > 1 else None
        name, label = one_line(sweeps[1].label), one_line(metric.label)
        points = counted(len(common), "common point")
        if not any(differences):
            yield f"both have the same {label} at {'their' if len(common) == 1 else 'all'} {points}"
            return
        yield (
            f"{name} is better at {better} of {points}; its {label} differs by "
            f"{mean_text(statistics.fmean(differences), spread)} on average"
        )


def _warnings(sweeps: Sequence[ComparedSweep]) -> Iterator[str]:
    if not _have_same_metric(sweeps):
        listed = ", ".join(f"{each.label}: {each.record.spec.metric.label}" for each in sweeps)
        yield f"the sweeps have different metrics, so their scores cannot be compared ({listed})"
    for part, name in (("val", "validation"), ("test", "test")):
        known = [each.images[part] for each in sweeps if part in each.images]
        if any(images != known[0] for images in known):
            yield f"the sweeps have different {name} images, so {part} scores say little about which is better"
    with_images = [each for each in sweeps if each.record.spec.trainer.command is None]
    for setting in DATA:
        if len({json.dumps(each.settings.get(f"data.{setting}"), default=list) for each in with_images}) > 1:
            yield f"the sweeps differ in data.{setting}: their scores are of different pixels"
    concerned: dict[str, list[str]] = {}
    for each in sweeps:
        for warning in each.record.warnings:
            concerned.setdefault(warning, []).append(each.label)
    yield from (f"{', '.join(labels)}: {warning}" for warning, labels in concerned.items())
