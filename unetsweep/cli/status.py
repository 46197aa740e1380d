"""`unetsweep status`: where every trial is, and why. Looks; touches nothing."""

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unetsweep.core.actions import Submit, Wait

if TYPE_CHECKING:
    from unetsweep.core.plan import Plan


@click.command("status")
@click.argument("sweep", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option(
    "--results", type=click.Path(path_type=Path), default=Path("results"), help="Folder of the sweeps [results]."
)
def command(sweep: str | None, as_json: bool, results: Path) -> None:
    """Say where every trial of SWEEP is (default: the newest sweep)."""
    from unetsweep.analysis.records import records
    from unetsweep.app.costs import as_json as cost_json
    from unetsweep.app.costs import costed
    from unetsweep.app.sweeps import resolve, world_of
    from unetsweep.core.cost import sentence
    from unetsweep.core.describe import said
    from unetsweep.core.plan import plan
    from unetsweep.core.spec import trials_wanted
    from unetsweep.reconcile.loop import observe
    from unetsweep.store.sweep_dir import SweepDir

    directory = SweepDir(resolve(sweep, results))
    world = world_of(directory)
    seen = observe(world)
    decided = plan(world.spec, seen, world.capacity(), world.clock.now())
    record = costed(records(directory.root), directory)
    rows = _rows(record.trials, decided)
    tally = Counter(row["state"] for row in rows)
    about = {
        "sweep": directory.name,
        "executor": directory.executor,
        "wanted": trials_wanted(world.spec),
        "scheduler_error": seen.scheduler_error,
        "counts": dict(tally),
        "paused": decided.paused,
        "cost": cost_json(record.cost),
        "trials": [row | {"cost": cost_json(trial.cost)} for row, trial in zip(rows, record.trials, strict=True)],
    }
    if as_json:
        click.echo(json.dumps(about, indent=1))
        return
    counts = ", ".join(f"{count} {state}" for state, count in sorted(tally.items())) or "nothing yet"
    click.echo(f"{directory.name} on {directory.executor}: {counts}; {about['wanted']} trials wanted")
    if seen.scheduler_error:
        click.echo(f"the queue does not answer, so nothing is concluded from it: {seen.scheduler_error}")
    if decided.paused:
        click.echo(f"the sweep has stopped by itself: {decided.paused}")
    if record.cost is not None and record.cost.attempts:
        click.echo(sentence(record.cost, gpus=bool(world.spec.slurm.gpus)))
    for row in rows:
        if row["state"] != "complete":
            click.echo(f"  {row['trial']:04d}  {row['state']:9s} {row['job_id'] or '-':>12s}  {row['reason']}")
    for action in decided.actions:
        click.echo(f"`unetsweep submit` would now: {said(action)}")


def _rows(trials: Any, decided: "Plan") -> list[dict[str, Any]]:
    """The files' words, with the queue's on top for those that have not ended."""
    waits = {wait.trial: wait for wait in decided.waits}
    for action in decided.actions:
        for element in action.elements if isinstance(action, Submit) else ():
            waits |= {
                trial: Wait(trial, f"the next reconciliation sends it: {action.reason}")
                for trial, _ in element.milestones
            }
    rows = []
    for trial in trials:
        wait = waits.get(trial.number)
        row = {"trial": trial.number, "state": trial.state, "job_id": trial.job_id, "reason": trial.reason}
        if wait is not None and trial.result is None:
            state = "running" if wait.running else ("submitted" if wait.job_id else "waiting")
            reason = trial.reason if wait.running and trial.reason else wait.reason
            row |= {"state": state, "job_id": wait.job_id or trial.job_id, "reason": reason}
        rows.append(row)
    return rows
