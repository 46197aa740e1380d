"""`submit --dry-run`: the plan, printed; nothing is written."""

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from unetsweep.core.actions import Element, Propose, Submit
from unetsweep.core.estimate import Estimate, line

if TYPE_CHECKING:
    from unetsweep.adapters.sweep_dir import SweepDir
    from unetsweep.core.plan import Plan
    from unetsweep.core.spec import SweepSpec


def dry_run(spec: "SweepSpec", directory: "SweepDir", executor: str, *, as_json: bool) -> None:
    """Print what a pass would do now."""
    numbers = _numbers(spec, directory, executor)
    if as_json:
        click.echo(json.dumps(numbers, indent=1))
        return
    click.echo(f"sweep {spec.name} on {executor}, in {directory.root}")
    for action in numbers["actions"]:
        click.echo(action["line"])
    words = ("trials", "runs", "jobs", "arrays", "epochs_asked", "epochs_to_train")
    click.echo(", ".join(f"{word.replace('_', ' ')} {numbers[word]}" for word in words))
    found = Estimate(*(numbers[name] for name in Estimate.__slots__))
    click.echo(line(found, gpus=bool(spec.slurm.gpus)))


def _numbers(spec: "SweepSpec", directory: "SweepDir", executor: str) -> dict[str, Any]:
    from unetsweep.cli._estimate import estimated
    from unetsweep.cli._sweeps import local_places, scheduler
    from unetsweep.cli._words import said
    from unetsweep.core.places import Capacity
    from unetsweep.core.plan import forecast
    from unetsweep.core.spec import trials_wanted
    from unetsweep.errors import SchedulerError
    from unetsweep.shell.reconcile import ask, with_jobs

    jobs = scheduler(executor, directory.root)
    parallel = spec.run.parallel
    if executor == "local" and parallel is None:
        parallel = local_places(spec)
    try:
        capacity = Capacity(jobs.queues, parallel, jobs.max_elements())
    except SchedulerError as error:
        click.echo(f"warning: {error}", err=True)
        capacity = Capacity(jobs.queues, parallel)
    seen = replace(directory.look(), stopped=False)  # submitting resumes
    seen = with_jobs(seen, *ask(jobs, seen))
    if seen.silence is not None:
        click.echo(f"warning: the queue does not answer, so nothing would be sent: {seen.silence}", err=True)
    plan, proposed = forecast(spec, seen, capacity, datetime.now(UTC))
    asked = _epochs(spec, len(directory.trials()), proposed)
    first = [Propose(proposed, f"{trials_wanted(spec)} trials are asked for")] if proposed else []
    return {
        "sweep": spec.name,
        "executor": executor,
        "trials": trials_wanted(spec),
        "runs": trials_wanted(spec),
        "jobs": sum(len(each) for each in _submits(plan)),
        "arrays": sum(len(each) > 1 for each in _submits(plan)) if jobs.queues else 0,
        "epochs_asked": asked,
        "epochs_to_train": asked,
        **asdict(estimated(spec, directory, executor, seen)),
        "actions": [
            {"action": type(action).__name__.lower(), "reason": action.reason, "line": said(action)}
            for action in [*first, *(a for a in plan.actions if not isinstance(a, Propose))]
        ],
    }


def _submits(plan: "Plan") -> list[tuple[Element, ...]]:
    return [action.elements for action in plan.actions if isinstance(action, Submit)]


def _epochs(spec: "SweepSpec", existing: int, proposed: int) -> int | None:
    """Epochs of all the trials together; None where they are not known before they are drawn."""
    from unetsweep.core.spec import Choices, grid_points, listed_points

    if spec.study.sampler == "list":
        return int(sum(point["epochs"] for point in listed_points(spec.study)))
    if spec.study.sampler == "grid":
        return int(sum(point["epochs"] for point in grid_points(spec.space)))
    axis = spec.space.epochs
    if isinstance(axis, Choices) and len(axis.values) == 1:
        return int(axis.values[0]) * (existing + proposed)
    return None
