"""What holds for the plan of any observation."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from plan_rows import NOW, adaptive, failing, grid, job

from unetsweep.core.actions import Cancel, FinishTrial, MarkLost, Propose, Submit
from unetsweep.core.capacity import Capacity, slots_in_use
from unetsweep.core.observation import Attempt, JobState, Observation, Run, Trial
from unetsweep.core.plan import plan
from unetsweep.core.spec import Retries

TOKENS = [letter * 12 for letter in "abc"]
ENDINGS = [None, None, failing(), failing("exit", 0), failing("exit", 1)]


@st.composite
def attempts(draw, run: int) -> tuple[Attempt, ...]:
    """The attempts of a run: all but the last are lost."""
    count = draw(st.integers(0, 4))
    return tuple(
        Attempt(
            run,
            number,
            draw(st.sampled_from(TOKENS)),
            run,
            NOW - timedelta(seconds=draw(st.sampled_from([0, 20, 40, 4000]))),
            throttle=draw(st.sampled_from([None, 1, 2])),
            job_id=draw(st.sampled_from([None, f"1_{run}"])),
            claimed_by=draw(st.sampled_from([None, f"1_{run}"])),
            lost="its node died" if number < count else draw(st.sampled_from([None, None, None, "its node died"])),
            refused=draw(st.booleans()),
            ending=draw(st.sampled_from(ENDINGS)),
            job=draw(st.none() | st.sampled_from(JobState).map(lambda state: job(state, index=run))),
        )
        for number in range(1, count + 1)
    )


@st.composite
def observations(draw) -> Observation:
    runs = {}
    trials = []
    for number in range(draw(st.integers(0, 6))):
        result = draw(st.sampled_from([None, None, "complete", "failed"]))
        runs[number] = Run(number, {8: result} if result else {}, draw(attempts(number)))
        trials.append(Trial(number, number, 8, draw(st.booleans())))
    scheduler_error = draw(st.sampled_from([None, None, None, "timed out"]))
    return Observation(draw(st.integers(0, 3)), tuple(trials), runs, draw(st.booleans()), scheduler_error)


capacities = st.builds(
    Capacity,
    queues=st.booleans(),
    parallel=st.none() | st.integers(1, 4),
    max_elements=st.integers(1, 4),
    remaining_submissions=st.none() | st.integers(0, 4),
)
specs = st.sampled_from([grid(6), grid(12, retries=Retries(node=1)), adaptive(9, 2), adaptive(9, None)])


def still_live(found: Observation, decided_for: set[int], given_up: set[tuple[int, int]]) -> list[Attempt]:
    """Last attempts that may still run: not marked lost, and not of a run that is finished or resubmitted."""
    last = [run.last for run in found.runs.values() if run.last is not None]
    return [
        each
        for each in last
        if each.lost is None and (each.run, each.number) not in given_up and each.run not in decided_for
    ]


@given(specs, observations(), capacities)
def test_no_plan_uses_more_slots_than_parallel(spec, found: Observation, capacity: Capacity):
    decided = plan(spec, found, capacity, NOW)
    submits = [action for action in decided.actions if isinstance(action, Submit)]
    finished = {action.trial for action in decided.actions if isinstance(action, FinishTrial)}
    resubmitted = {element.run for action in submits for element in action.elements}
    given_up = {(action.run, action.attempt) for action in decided.actions if isinstance(action, MarkLost)}
    before = slots_in_use(still_live(found, finished | resubmitted, given_up))
    new = sum(min(len(action.elements), action.throttle or len(action.elements)) for action in submits)
    if capacity.parallel is not None and submits:
        assert before + new <= max(before, capacity.parallel)
    if capacity.remaining_submissions is not None:
        assert sum(len(action.elements) for action in submits) <= capacity.remaining_submissions
    assert all(len(action.elements) <= capacity.max_elements for action in submits)
    assert capacity.queues or all(action.throttle is None for action in submits)


@given(specs, observations(), capacities)
def test_a_trial_with_a_result_is_finished_and_never_submitted(spec, found: Observation, capacity: Capacity):
    decided = plan(spec, found, capacity, NOW)
    results = {
        trial.number: run.published_states[8]
        for trial in found.trials
        if (run := found.runs[trial.run]).published_states
    }
    finished = {action.trial: action.state for action in decided.actions if isinstance(action, FinishTrial)}
    submitted = {trial for action in _submits(decided) for element in action.elements for trial, _ in element.trials}
    assert {trial: finished.get(trial) for trial in results} == results
    assert not submitted & set(results)
    assert not submitted & set(finished)


@given(specs, observations(), capacities)
def test_every_open_trial_is_either_finished_or_submitted_or_waits_with_a_reason(spec, found, capacity):
    decided = plan(spec, found, capacity, NOW)
    finished = [action.trial for action in decided.actions if isinstance(action, FinishTrial)]
    submitted = [trial for action in _submits(decided) for element in action.elements for trial, _ in element.trials]
    waits = [wait.trial for wait in decided.waits]
    assert sorted(finished + submitted + waits) == [trial.number for trial in found.trials]


@given(specs, observations(), capacities)
def test_nothing_is_submitted_proposed_or_concluded_while_the_scheduler_does_not_answer(
    spec, found: Observation, capacity: Capacity
):
    runs = {
        number: replace(run, attempts=tuple(replace(each, job=None, ending=None) for each in run.attempts))
        for number, run in found.runs.items()
    }
    decided = plan(spec, replace(found, runs=runs, scheduler_error="timed out"), capacity, NOW)
    assert not any(isinstance(action, Submit | Propose) for action in decided.actions)
    for action in decided.actions:
        if isinstance(action, FinishTrial) and not runs[action.run].published_states:
            last = runs[action.run].last
            assert last is None or last.lost is not None


@given(specs, observations(), capacities)
def test_the_same_observation_gives_the_same_plan(spec, found: Observation, capacity: Capacity):
    reordered = replace(found, trials=tuple(found.trials), runs=dict(reversed(found.runs.items())))
    assert plan(spec, found, capacity, NOW) == plan(spec, reordered, capacity, NOW)


@given(specs, observations(), capacities)
def test_only_jobs_of_cancelled_or_finished_trials_are_cancelled(spec, found: Observation, capacity: Capacity):
    decided = plan(spec, found, capacity, NOW).actions
    ids = {job_id for action in decided if isinstance(action, Cancel) for job_id in action.job_ids}
    over = {
        t.run for t in found.trials if t.cancelled or t.epochs in found.runs.get(t.run, Run(t.run)).published_states
    }
    assert ids <= {f"1_{run}" for run in over} | {"18808"}


def _submits(decided) -> list[Submit]:
    return [action for action in decided.actions if isinstance(action, Submit)]
