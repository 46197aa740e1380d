"""Which runs the pruner judges, which trials it stops, and what it never stops."""

import math
import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_rows import NOW, TOKEN, attempt, decide, failing, job, lines

from unetsweep.contract import DataConfig
from unetsweep.core import built_in_pruners, pruning
from unetsweep.core.actions import FinishTrial, Prune
from unetsweep.core.metric import METRICS, metric_of
from unetsweep.core.observation import Attempt, EpochReport, JobState, Observation, PruneDecision, Run, Trial
from unetsweep.core.pruning import History, MetricReport
from unetsweep.core.space import Choices, Space
from unetsweep.core.spec import StudySpec, SweepSpec

RUNNING, ENDED = JobState.RUNNING, JobState.ENDED


def sweep(pruner: str | None = "asha", epochs: int = 9, metric: str = "val_iou", **arguments: int) -> SweepSpec:
    space = Space.of(epochs=Choices((epochs,)), batch_size=Choices((4,)), learning_rate=Choices((1e-3,)))
    study = StudySpec(metric=metric, pruner=pruner, pruner_args=arguments)  # type: ignore[arg-type]
    return SweepSpec("s", DataConfig("images"), space, study)


def history(trial: int, *values: float, state: str | None = None, epochs: int = 9, late: float = 0) -> History:
    """A history with one value per epoch and minute that begins `late` minutes after the sweep."""
    reports = tuple(MetricReport(NOW + timedelta(minutes=late + e), e, v) for e, v in enumerate(values, 1))
    return History(trial, epochs, state, reports)


def pruned(spec: SweepSpec, *histories: History) -> dict[int, int]:
    return {trial: verdict.epoch for trial, verdict in built_in_pruners.verdicts(spec, histories).items()}


# ---- the rules

HALVING = sweep(min_epochs=2, reduction_factor=3)
GOOD, POOR = (0.5, 0.6), (0.1, 0.2)
RULES = [
    pytest.param(HALVING, [history(0, *POOR)], {}, id="the first trial on a rung continues"),
    pytest.param(
        HALVING, [history(0, *GOOD), history(1, 0.1, late=1)], {}, id="no trial is pruned before the first rung"
    ),
    pytest.param(HALVING, [history(0, *GOOD), history(1, *POOR, late=1)], {1: 2}, id="the poorer trial is pruned"),
    pytest.param(
        HALVING, [history(0, *POOR), history(1, *GOOD, late=1)], {}, id="the first trial on a rung is not judged later"
    ),
    pytest.param(
        HALVING,
        [history(0, *GOOD), history(1, *POOR, 0.9, 0.9, late=1)],
        {1: 2},
        id="a missed rung is judged afterwards",
    ),
    pytest.param(
        HALVING, [history(0, *GOOD), history(1, *POOR, late=1, epochs=2)], {}, id="nothing is pruned at its last epoch"
    ),
    pytest.param(
        HALVING,
        [history(0, *GOOD), replace(history(1, *POOR, late=1), ignored_until=2)],
        {},
        id="a verdict before a retry no longer counts",
    ),
    pytest.param(
        HALVING,
        [history(0, *GOOD, state="failed"), history(1, *POOR, late=1)],
        {1: 2},
        id="failed trials are compared with",
    ),
    pytest.param(
        sweep(metric="val_loss", min_epochs=2),
        [history(0, *POOR), history(1, *GOOD, late=1)],
        {1: 2},
        id="a lower loss is better",
    ),
    pytest.param(
        sweep("median", startup_trials=1),
        [history(0, *GOOD, state="complete"), history(1, *POOR, late=5)],
        {1: 1},
        id="a trial worse than the median of the complete ones is pruned",
    ),
    pytest.param(
        sweep("median", startup_trials=1),
        [history(0, *GOOD, state="ended"), history(1, *POOR, late=5)],
        {},
        id="only complete trials count for the median",
    ),
    pytest.param(
        sweep("median", startup_trials=2),
        [history(0, *GOOD, state="complete"), history(1, *POOR, late=5)],
        {},
        id="too few trials are complete for a median",
    ),
    pytest.param(
        sweep("median", startup_trials=1, warmup_epochs=1),
        [history(0, *GOOD, state="complete"), history(1, *POOR, late=5)],
        {1: 2},
        id="warm-up epochs are not judged",
    ),
    pytest.param(
        sweep("median", startup_trials=1),
        [history(0, *GOOD, state="complete"), history(1, *POOR, late=-9)],
        {},
        id="trials that were complete only later do not count",
    ),
    pytest.param(
        sweep("median", startup_trials=1, every=3),
        [history(0, 0.5, 0.5, 0.5, 0.5, state="complete"), history(1, 0.9, 0.2, 0.2, 0.2, late=9)],
        {},
        id="the best value of a trial counts",
    ),
]


@pytest.mark.parametrize(("spec", "histories", "expected"), RULES)
def test_each_pruner_stops_the_trials_its_rule_names(
    spec: SweepSpec, histories: list[History], expected: dict[int, int]
):
    assert pruned(spec, *histories) == expected


def test_a_prune_reason_names_value_epoch_and_threshold():
    (verdict,) = built_in_pruners.verdicts(HALVING, [history(0, *GOOD), history(1, *POOR, late=1)]).values()
    assert verdict.reason == (
        "val_iou 0.2000 at epoch 2 is not among the best 1/3 of 2 trials that trained this far (0.6000 was needed)"
    )
    spec = sweep("median", metric="val_loss", startup_trials=1)
    (verdict,) = built_in_pruners.verdicts(
        spec, [history(0, *POOR, state="complete"), history(1, *GOOD, late=5)]
    ).values()
    assert "best val_loss 0.5000 at epoch 1 is worse than the median of 1 complete" in verdict.reason
    assert "(0.1000 was needed)" in verdict.reason


@pytest.mark.parametrize(("epochs", "first"), [(1, 1), (8, 1), (50, 2), (1000, 38)])
def test_the_first_rung_is_three_rungs_below_the_longest_training(epochs: int, first: int):
    assert built_in_pruners.pruner_arguments(sweep(epochs=epochs))["min_epochs"] == first


# ---- what holds always

PRUNERS = st.sampled_from(
    [
        sweep(min_epochs=2, reduction_factor=2),
        sweep("hyperband", min_epochs=2),
        sweep("median", startup_trials=1, warmup_epochs=1),
    ]
)
values = st.lists(st.floats(0, 1), max_size=9).map(tuple)
histories = st.lists(
    st.tuples(values, st.sampled_from([None, None, "complete", "failed", "pruned"]), st.integers(0, 9)), max_size=9
).map(lambda rows: [history(n, *row[0], state=row[1], late=row[2]) for n, row in enumerate(rows)])


@given(PRUNERS, histories)
def test_only_open_trials_are_pruned_between_min_epochs_and_their_last_epoch(spec: SweepSpec, trials: list[History]):
    for trial, epoch in pruned(spec, *trials).items():
        assert trials[trial].state is None
        assert 2 <= epoch < trials[trial].epochs


@given(PRUNERS, histories, st.randoms())
def test_the_order_of_the_histories_does_not_matter(spec: SweepSpec, trials: list[History], chance: random.Random):
    shuffled = chance.sample(trials, len(trials))
    assert built_in_pruners.verdicts(spec, shuffled) == built_in_pruners.verdicts(spec, trials)


@given(histories)
def test_the_best_trial_at_every_epoch_is_never_pruned(trials: list[History]):
    best = history(99, *(2.0,) * 8)
    assert 99 not in pruned(HALVING, *trials, best)
    assert 99 not in pruned(sweep("median", startup_trials=1), *trials, best)


@given(PRUNERS, histories, st.integers(0, 20))
def test_later_reports_change_no_verdict(spec: SweepSpec, trials: list[History], minutes: int):
    """All trials are open at both times."""
    until = NOW + timedelta(minutes=minutes)
    now = [replace(each, state=None, reports=tuple(r for r in each.reports if r.at <= until)) for each in trials]
    later = [replace(each, state=None) for each in trials]
    assert pruned(spec, *now).items() <= pruned(spec, *later).items()


# ---- which runs are judged


def run(number: int = 0, done: int = 4, **more: Any) -> Run:
    """A running run with this many finished epochs; its values grow with its number."""
    points = tuple(
        EpochReport(e, {"val_iou": 0.1 * number + 0.1, "val_loss": 0.5}, NOW + timedelta(minutes=e), 60.0)
        for e in range(1, done + 1)
    )
    alive = Attempt(number, 1, TOKEN, number, NOW, claimed_by="7", job_id="7", job=job(RUNNING, index=number))
    return Run(number, more.pop("published_states", {}), more.pop("attempts", (alive,)), progress=points, **more)


def observation_of(each: Run, *epochs: int, **more: Any) -> Observation:
    trials = tuple(Trial(n, each.number, e, **more) for n, e in enumerate(epochs or (9,)))
    return Observation(0, trials, {each.number: each})


def at_work(**changes: Any) -> tuple[Attempt, ...]:
    return (replace(run().attempts[0], **changes),)


PRUNE = PruneDecision(1, 0, (9,), 3, "poor")
JUDGED = [
    pytest.param(observation_of(run()), [0], id="at work"),
    pytest.param(observation_of(run(), 2, 9, 9), [1], id="the trial with the longest milestone is judged for the run"),
    pytest.param(observation_of(run(published_states={9: "complete"}), 2, 9), [], id="a published one is not open"),
    pytest.param(observation_of(run(done=0)), [], id="no epoch yet"),
    pytest.param(observation_of(run(done=9)), [], id="at its last epoch"),
    pytest.param(observation_of(run(), cancelled=True), [], id="cancelled"),
    pytest.param(observation_of(run(attempts=())), [], id="never submitted"),
    pytest.param(observation_of(run(attempts=at_work(claimed_by=None))), [], id="not claimed"),
    pytest.param(observation_of(run(attempts=at_work(lost="gone"))), [], id="given up"),
    pytest.param(observation_of(run(attempts=at_work(ending=failing()))), [], id="failed"),
    pytest.param(observation_of(run(attempts=at_work(job=job(ENDED)))), [], id="ended"),
    pytest.param(observation_of(run(attempts=at_work(job=None))), [], id="not listed"),
    pytest.param(observation_of(run(prune_decision=PRUNE)), [], id="pruned already"),
    pytest.param(observation_of(run(prune_decision=PRUNE), 8, 9), [1], id="another milestone is open"),
    pytest.param(observation_of(run(prune_decision=replace(PRUNE, attempt=2))), [0], id="another attempt was pruned"),
    pytest.param(observation_of(run(prune_decision=replace(PRUNE, is_lifted=True))), [0], id="retried since"),
]


@pytest.mark.parametrize(("found", "expected"), JUDGED)
def test_only_active_runs_with_an_open_milestone_are_judged(found: Observation, expected: list[int]):
    assert [each.trial for each in pruning.open_histories(sweep(), found)] == expected
    assert pruning.open_histories(sweep(None), found) == ()


def test_a_stop_names_the_milestones_not_reached_yet():
    verdict = {2: pruning.Verdict(3, "poor")}
    assert pruning.prune_actions(observation_of(run(), 2, 6, 9), verdict) == (Prune(0, 1, 2, (6, 9), 4, "poor"),)
    assert pruning.prune_actions(observation_of(run(), 2, 6, 9), {}) == ()


def test_a_retried_trial_is_judged_by_its_later_reports_only():
    (judged,) = pruning.open_histories(sweep(), observation_of(run(prune_decision=replace(PRUNE, is_lifted=True))))
    assert judged.ignored_until == 3
    (judged,) = pruning.open_histories(sweep(), observation_of(run(prune_decision=replace(PRUNE, milestones=()))))
    assert judged.ignored_until == 3, "only this trial of the shared run was pruned"


def test_a_stop_of_other_milestones_settles_no_verdict():
    (judged,) = pruning.open_histories(sweep(), observation_of(run(prune_decision=replace(PRUNE, milestones=(99,)))))
    assert judged.ignored_until == 0


def test_a_prune_includes_milestones_stopped_earlier():
    known = run(prune_decision=replace(PRUNE, attempt=1, milestones=(12,)))
    verdict = {2: pruning.Verdict(3, "poor")}
    assert pruning.prune_actions(observation_of(known, 2, 6, 9), verdict)[0].milestones == (6, 9, 12)


def test_reports_skip_epochs_without_validation_and_their_times_never_decrease():
    points = [
        EpochReport(1, {"val_iou": 0.1, "val_loss": 0.9}, NOW),
        EpochReport(2, {}, NOW),
        EpochReport(3, {"val_iou": 0.3, "val_loss": 0.7}, NOW - timedelta(minutes=5)),
        EpochReport(4, {"val_iou": 0.4, "val_loss": 0.6}, None),
    ]
    reports = pruning.metric_reports(points, METRICS["val_loss"])
    assert [(each.epoch, each.value) for each in reports] == [(1, 0.9), (3, 0.7), (4, 0.6)]
    assert {each.at for each in reports} == {NOW}


# ---- what follows

DIED = attempt(claimed_by="18808", job_id="18808", job=job(JobState.NODE_FAILED))
AFTER = [
    pytest.param(DIED, PRUNE, [8], ["lost 0.1", "submit 0.2"], id="another milestone"),
    pytest.param(DIED, PRUNE, [9], ["finish 0 pruned"], id="its job died before it obeyed"),
    pytest.param(DIED, replace(PRUNE, is_lifted=True), [9], ["lost 0.1", "submit 0.2"], id="retried"),
    pytest.param(DIED, replace(PRUNE, attempt=2), [9], ["lost 0.1", "submit 0.2"], id="of another attempt"),
    pytest.param(DIED, replace(PRUNE, reason=""), [9], ["finish 0 pruned"], id="the reason was lost"),
    pytest.param(replace(DIED, job=job(RUNNING)), PRUNE, [9], [], id="it still runs and will obey"),
    pytest.param(
        DIED,
        PRUNE,
        [8, 9],
        ["lost 0.1", "finish 1 pruned", "submit 0.2"],
        id="the run is resubmitted for the open trial",
    ),
]


@pytest.mark.parametrize(("last", "prune", "epochs", "expected"), AFTER)
def test_a_pruned_trial_is_finished_and_not_resubmitted(
    last: Attempt, prune: PruneDecision, epochs: list[int], expected: list[str]
):
    trials = tuple(Trial(n, 0, e) for n, e in enumerate(epochs))
    decided = decide(Observation(0, trials, {0: Run(0, {}, (last,), prune_decision=prune)}))
    assert lines(decided) == expected


def test_a_cancelled_trial_stays_cancelled_when_its_run_was_pruned():
    run = Run(0, {}, (replace(DIED, job=job(JobState.CANCELLED)),), prune_decision=PRUNE)
    decided = decide(Observation(0, (Trial(0, 0, 9, True),), {0: run}))
    assert [action.state for action in decided.actions if isinstance(action, FinishTrial)] == ["cancelled"]


def test_the_result_of_a_pruned_trial_is_its_best_epoch():
    points = [
        EpochReport(1, {"val_iou": 0.3, "val_loss": 0.9}, NOW),
        EpochReport(2, {"val_iou": 0.5, "val_loss": 0.8}, NOW),
        EpochReport(3, {"val_iou": 0.5, "val_loss": 0.7}, NOW),
        EpochReport(4, {}, NOW),
    ]
    result = pruning.pruned_result(METRICS["val_iou"], PRUNE, points)
    assert (result.state, result.epochs_run, result.best_epoch) == ("pruned", 4, 2)
    assert (result.val_iou, result.val_loss, result.message) == (0.5, 0.8, "poor")
    assert pruning.pruned_result(METRICS["val_iou"], PRUNE, ()).val_iou is None
    assert pruning.pruned_result(METRICS["val_loss"], PRUNE, points).best_epoch == 3


def test_a_pruned_trial_keeps_the_numbers_of_its_own_trainer():
    points = [EpochReport(epoch, {"rmse": rmse, "train_loss": 0.1}, NOW) for epoch, rmse in ((1, 0.5), (2, 0.25))]
    result = pruning.pruned_result(metric_of("rmse", "minimize"), PRUNE, points)
    assert (result.best_epoch, result.extra) == (2, {"rmse": 0.25})


def test_a_run_reports_its_epochs_and_seconds_per_epoch():
    assert (run().epochs_done, run().epoch_seconds) == (4, 60.0)
    assert (Run(0).epochs_done, Run(0).epoch_seconds) == (0, None)
    assert not math.isnan(run(done=1).epoch_seconds or math.nan)


@pytest.mark.parametrize(
    ("pruner", "values", "part"),
    [
        ("asha", [{"loss": 0.5}, {"loss": 0.4, "f1": 0.1}], "the lines have f1, loss."),
        ("asha", [], "there are no lines, or they have no numbers."),
        ("asha", [{"loss": 0.5}, {"val_iou": 0.4}], None),
        (None, [{"loss": 0.5}], None),
    ],
)
def test_a_pruner_whose_metric_is_in_no_line_of_progress_is_named(
    pruner: str | None, values: list[dict[str, float]], part: str | None
):
    progress = [[EpochReport(epoch, each, NOW, 1.0) for epoch, each in enumerate(values, 1)]]
    found = pruning.why_nothing_is_pruned(sweep(pruner).study, METRICS["val_iou"], progress)
    assert (found is not None) == (part is not None)
    if found is not None and part is not None:
        assert found.startswith("nothing is pruned: the pruner asha compares val_iou, which no line of progress has; ")
        assert part in found


def test_before_a_training_has_ended_it_is_not_known_whether_the_pruner_can_work():
    assert pruning.why_nothing_is_pruned(sweep().study, METRICS["val_iou"], []) is None
