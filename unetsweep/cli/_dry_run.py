"""`submit --dry-run`: the plan, printed; nothing is written."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from unetsweep.core.actions import Element, Propose, Submit

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
    click.echo(", ".join(f"{word.replace('_', ' ')} {_shown(numbers[word])}" for word in words))
    click.echo(_saving(numbers))


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
        return "no training is shared: no two trials differ only in epochs"
    return f"trials that differ only in epochs share a training: {asked - train} epochs less ({1 - train / asked:.0%})"


def _numbers(spec: "SweepSpec", directory: "SweepDir", executor: str) -> dict[str, Any]:
    from dataclasses import replace

    from unetsweep.cli._sweeps import local_places, scheduler
    from unetsweep.cli._words import said
    from unetsweep.core.places import Capacity
    from unetsweep.core.plan import forecast
    from unetsweep.core.sharing import epochs_to_train, why_not
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
    parts = [(trial["runs"][0]["run"], trial["runs"][0]["epochs"]) for trial in directory.trials()]

    def new(count: int, first: int) -> list[tuple[int, int]]:
        found = _parts(spec, directory, count, first)
        parts.extend(found)
        return found

    plan, proposed = forecast(spec, seen, capacity, datetime.now(UTC), new)
    asked = sum(epochs for _, epochs in parts) if all(epochs for _, epochs in parts) else None
    if len(parts) < trials_wanted(spec) and spec.study.sampler != "grid":
        asked = None  # the rest is not drawn yet
    first = [Propose(proposed, f"{trials_wanted(spec)} trials are asked for")] if proposed else []
    return {
        "sweep": spec.name,
        "executor": executor,
        "trials": trials_wanted(spec),
        "runs": len({run for run, _ in parts}) + max(0, trials_wanted(spec) - len(parts)),
        "jobs": sum(len(each) for each in _submits(plan)),
        "arrays": sum(len(each) > 1 for each in _submits(plan)) if jobs.queues else 0,
        "epochs_asked": asked,
        "epochs_to_train": None if asked is None else epochs_to_train(parts),
        "not_shared": why_not(spec),
        "actions": [
            {"action": type(action).__name__.lower(), "reason": action.reason, "line": said(action)}
            for action in [*first, *(a for a in plan.actions if not isinstance(a, Propose))]
        ],
    }


def _submits(plan: "Plan") -> list[tuple[Element, ...]]:
    return [action.elements for action in plan.actions if isinstance(action, Submit)]


def _parts(spec: "SweepSpec", directory: "SweepDir", count: int, first: int) -> list[tuple[int, int]]:
    """Run and epochs of so many new trials, numbered on from `first`; 0 epochs where they are not known before they
    are drawn."""
    from unetsweep import package
    from unetsweep.cli._sweeps import with_images
    from unetsweep.contract import run_key
    from unetsweep.core import sharing
    from unetsweep.core.spec import Choices, grid_left, listed_left
    from unetsweep.core.trials import trial_config

    there = [trial for trial in directory.trials() if trial["params"] is not None]
    if spec.study.sampler == "list":
        points = listed_left(spec.study, ({**t["params"], "seed": t["training_seed"]} for t in there))[:count]
    elif spec.study.sampler == "grid":
        points = grid_left(spec.space, (trial["params"] for trial in there))[:count]
    else:
        axis = spec.space.epochs
        epochs = int(axis.values[0]) if isinstance(axis, Choices) and len(axis.values) == 1 else 0
        return [(number, epochs) for number in range(first, first + count)]
    configs = [trial_config(with_images(spec, directory), point) for point in points]
    keys = [(run_key(config), config.epochs) for config in configs]
    runs = list(range(first, first + len(keys)))
    if sharing.why_not(spec) is None:
        runs = sharing.runs_of(keys, first, map(sharing.served, there), package.code()["package"])
    return [(run, epochs) for run, (_, epochs) in zip(runs, keys, strict=True)]
