"""`submit --dry-run`: the plan, printed; nothing is written."""

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from unetsweep.core.actions import Propose, Submit
from unetsweep.core.estimate import Estimate, line

if TYPE_CHECKING:
    from unetsweep.core.plan import Plan
    from unetsweep.core.spec import SweepSpec
    from unetsweep.store.sweep_dir import SweepDir


def dry_run(spec: "SweepSpec", directory: "SweepDir", executor: str, *, as_json: bool) -> None:
    """Print what a reconciliation would do now."""
    numbers, needs = _numbers(spec, directory, executor)
    if as_json:
        click.echo(json.dumps(numbers, indent=1))
        return
    click.echo(f"sweep {spec.name} on {executor}, in {directory.root}")
    for action in numbers["actions"]:
        click.echo(action["line"])
    words = ("trials", "runs", "jobs", "arrays", "epochs_asked", "epochs_to_train")
    click.echo(", ".join(f"{word.replace('_', ' ')} {_shown(numbers[word])}" for word in words))
    click.echo(_saving(numbers))
    click.echo(line(needs, gpus=bool(spec.slurm.gpus)))


def _shown(value: object) -> str:
    return "unknown" if value is None else str(value)


def _saving(numbers: dict[str, Any]) -> str:
    """What shared trainings save, or why there are none."""
    asked, train = numbers["epochs_asked"], numbers["epochs_to_train"]
    if numbers["not_shared"] is not None:
        return f"no training is shared: {numbers['not_shared']}"
    if asked is None:
        return "trials that differ only in epochs share a training; how many do is not known before they are drawn"
    if asked == train:
        return "no training is shared: none of these trials is a part of another one's training"
    return f"trials that differ only in epochs share a training: {asked - train} epochs less ({1 - train / asked:.0%})"


def _numbers(spec: "SweepSpec", directory: "SweepDir", executor: str) -> tuple[dict[str, Any], Estimate]:
    """What there is to print, and what the trainings will take."""
    from unetsweep.app.estimates import estimated
    from unetsweep.app.new_trials import NewTrial, new_trials
    from unetsweep.app.sweeps import local_capacity, scheduler
    from unetsweep.core.capacity import Capacity
    from unetsweep.core.describe import describe
    from unetsweep.core.forecast import forecast
    from unetsweep.core.run_sharing import epochs_to_train, why_not
    from unetsweep.core.spec import trials_wanted
    from unetsweep.errors import SchedulerError
    from unetsweep.reconcile.loop import ask, with_jobs

    jobs = scheduler(executor, directory.root)
    parallel = spec.run.parallel
    if executor == "local" and parallel is None:
        parallel = local_capacity(spec)
    try:
        capacity = Capacity(jobs.queues, parallel, jobs.max_elements(), pack=spec.slurm.pack if jobs.queues else 1)
    except SchedulerError as error:
        click.echo(f"warning: {error}", err=True)
        capacity = Capacity(jobs.queues, parallel)
    seen = replace(directory.look(), stopped=False)  # submitting resumes
    seen = with_jobs(seen, *ask(jobs, seen))
    if seen.scheduler_error is not None:
        click.echo(f"warning: the queue does not answer, so nothing would be sent: {seen.scheduler_error}", err=True)
    known = directory.trials()
    there = [(trial["runs"][0]["run"], trial["runs"][0]["epochs"]) for trial in known]
    hoped: list[NewTrial] = []

    def new(count: int, first: int) -> list[tuple[int, int]]:
        hoped.extend(new_trials(spec, directory, known, count, first))
        return [(each.run, each.epochs or 0) for each in hoped]

    plan, proposed = forecast(spec, seen, capacity, datetime.now(UTC), new)
    later = max(0, trials_wanted(spec) - len(there) - len(hoped))  # an adaptive search draws them one by one
    hoped += new_trials(spec, directory, known, later, len(there) + len(hoped)) if later else []
    every = [*there, *((each.run, each.epochs or 0) for each in hoped)]
    asked = sum(epochs for _, epochs in every) if all(epochs for _, epochs in every) else None
    first = [Propose(proposed, f"{trials_wanted(spec)} trials are asked for")] if proposed else []
    needs = estimated(spec, directory, known, executor, seen, hoped)
    numbers = {
        "sweep": spec.name,
        "executor": executor,
        "trials": trials_wanted(spec),
        "runs": len({run for run, _ in every}),
        "jobs": sum(each.jobs for each in _submits(plan)),
        "arrays": sum(each.jobs > 1 for each in _submits(plan)) if jobs.queues else 0,
        "epochs_asked": asked,
        "epochs_to_train": None if asked is None else epochs_to_train(every),
        "not_shared": why_not(spec),
        **asdict(needs),
        "actions": [
            {"action": type(action).__name__.lower(), "reason": action.reason, "line": describe(action)}
            for action in [*first, *(a for a in plan.actions if not isinstance(a, Propose))]
        ],
    }
    return numbers, needs


def _submits(plan: "Plan") -> list[Submit]:
    return [action for action in plan.actions if isinstance(action, Submit)]
