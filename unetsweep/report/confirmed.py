"""The confirmed leaders in every format: mean and spread over new seeds, and which are significantly worse."""

import functools
import math

from unetsweep.analysis.rows import SweepRecord, TrialRecord
from unetsweep.analysis.rows import best as best_of
from unetsweep.analysis.significance import ALPHA, Contender, contenders
from unetsweep.report.columns import LEAKED, Column, Value, number_text
from unetsweep.texts import counted, score_text

FIELDS = ("runs", "open", "lost", "val_mean", "val_sd", "test_mean", "test_sd", "gap", "behind", "p", "in_best")
"""Fields of a Contender that CSV and JSON have as columns `confirmed_…` of its trial."""


def compare_leaders(sweep: SweepRecord) -> tuple[Contender, ...]:
    """The confirmed leaders of a sweep, each compared with the best, best first."""
    metric = sweep.spec.metric
    return contenders(sweep.confirmed, minimize=metric.minimize, with_gap=metric.has_gap, groups=sweep.val_groups)


def columns(sweep: SweepRecord) -> dict[str, Column]:
    """A column for each of FIELDS; none if nothing was confirmed."""
    by_trial = {row.key: row for row in compare_leaders(sweep)}

    def value(name: str, trial: TrialRecord) -> Value:
        found: Value = getattr(by_trial[trial.number], name) if trial.number in by_trial else None
        return found

    names = FIELDS if by_trial else ()
    return {
        f"confirmed_{name}": Column(f"confirmed_{name}", f"confirmed_{name}", functools.partial(value, name))
        for name in names
    }


def sentences(sweep: SweepRecord) -> list[str]:
    """Which leaders are the best, by which test, and what is missing; empty if nothing was confirmed."""
    rows = compare_leaders(sweep)
    if not rows:
        return []
    best = [number_text(row.key) for row in rows if row.in_best]
    by = f"by {sweep.spec.metric.label} of the validation images over new seeds (paired, Holm, {ALPHA:.0%})"
    so_far = "So far" if any(row.open or row.lost for row in rows) else "Confirmed"
    has_images = any(images for each in sweep.confirmed for images in each.per_image)
    if not best:
        verdict = "No confirmation run has a score"
    elif len(rows) == 1:
        seeds = counted(rows[0].runs, "new seed")
        verdict = f"{so_far}: trial {best[0]} with {seeds}; there is nothing to compare it with"
    elif not has_images:
        verdict = (
            f"{so_far}: trials {', '.join(best)} cannot be distinguished: without {sweep.spec.metric.label} of each "
            "validation image no test compares them"
        )
    elif len(best) == 1:
        verdict = f"{so_far}: trial {best[0]} is better than the other leaders {by}"
    else:
        verdict = f"{so_far}: trials {', '.join(best)} cannot be distinguished {by}"
    found = [verdict, *_missing(sweep, rows)]
    if sweep.val_groups is None and len(rows) > 1 and has_images:
        found.append("Each validation image counts separately: it is not known which of them show the same eye")
    if "val" in sweep.leak:
        found.append(f"These scores are {LEAKED[1:-1]}: they reward memorisation")
    return found


def _missing(sweep: SweepRecord, rows: tuple[Contender, ...]) -> list[str]:
    """What the verdict does not include."""
    found = []
    unfinished = sum(row.open for row in rows)
    if unfinished:
        found.append(f"{counted(unfinished, 'confirmation run')} {'has' if unfinished == 1 else 'have'} not ended")
    lost = [f"{row.lost} of {number_text(row.key)}" for row in rows if row.lost]
    if lost:
        found.append(f"Confirmation runs without a result, which are in no mean: {', '.join(lost)}")
    points = {trial.point for trial in sweep.trials if trial.number in {row.key for row in rows}}
    leader = best_of(sweep)
    if leader is not None and leader.point not in points:
        found.append(f"The best trial, {number_text(leader.number)}, was not trained again: confirm it too")
    return found


def table(sweep: SweepRecord) -> list[list[str]]:
    """The cells of a heading and of a line for each leader, best first; empty if nothing was confirmed."""
    rows = compare_leaders(sweep)
    if not rows:
        return []
    val = sweep.spec.metric.label + (f" {LEAKED}" if "val" in sweep.leak else "")
    test = "test_IoU" + (f" {LEAKED}" if "test" in sweep.leak else "")
    heading = ["confirmed", "seeds", val, test, "gap", "behind", "p", "best"]
    lines = [heading, *(_line(row) for row in rows)]
    if sweep.spec.trainer.command is None or any(row.test_mean is not None for row in rows):
        return lines
    return [line[:3] + line[5:] for line in lines]


def _line(row: Contender) -> list[str]:
    return [
        number_text(row.key),
        f"{row.runs} of {row.runs + row.open + row.lost}" if row.open or row.lost else str(row.runs),
        _spread(row.val_mean, row.val_sd),
        _spread(row.test_mean, row.test_sd),
        "-" if row.gap is None else score_text(row.gap),
        "-" if row.behind is None else score_text(row.behind),
        "-" if row.p is None else score_text(row.p),
        "yes" if row.in_best else "no",
    ]


def _spread(mean: float | None, sd: float | None) -> str:
    if mean is None or math.isnan(mean):
        return "-"
    return score_text(mean) if sd is None else f"{score_text(mean)} ± {score_text(sd)}"
