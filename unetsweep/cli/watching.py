"""How `watch` and the option `--watch` follow a sweep: on a full screen, or as lines where there is none."""

from collections.abc import Iterator

from unetsweep.app.watch import watch
from unetsweep.cli.echo import echo
from unetsweep.cli.live_view import show_live
from unetsweep.cli.terminal import is_interactive
from unetsweep.core.live import LiveSweep
from unetsweep.core.live_text import best_text, counts_text, failed_text
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.texts import score_text

_REASONS = 3
"""How many reasons a line names."""


def watch_sweep(directory: SweepDir, *, reconciles: bool) -> bool:
    """Follow a sweep until it is over, then print the result. Ctrl-C ends only the view.

    Return whether all is well: no trial failed, one is complete, and the sweep is not paused. Also if the view was
    ended before.
    """
    name = directory.name
    try:
        last = show_live(directory, reconciles=reconciles) if is_interactive() else _print_lines(directory, reconciles)
    except KeyboardInterrupt:
        echo(
            "",
            f"the trainings continue; see them again with: unetsweep watch {name}; end them with: "
            f"unetsweep cancel {name}",
        )
        return True
    if last is None:
        return True
    echo(*format_result(last))
    echo(*format_problems(last), err=True)
    return last.is_well


def _print_lines(directory: SweepDir, reconciles: bool) -> LiveSweep | None:
    """Print a line for each change, for a log or a simple terminal; return what was known last."""
    printed, last = "", None
    for last in watch(directory, reconciles=reconciles):
        line = format_progress(last)
        if line != printed:
            echo(line)
            printed = line
    return last


def format_progress(sweep: LiveSweep) -> str:
    """One line: `4 ended (1 pruned), 2 running, 1 waiting (all 2 slots are in use), best 0.6563 (trial 3)`."""
    counted = {"failed": sweep.failed, "pruned": sweep.counts.get("pruned", 0)}
    kinds = ", ".join(f"{count} {name}" for name, count in counted.items() if count)
    parts = [f"{sweep.ended} ended{f' ({kinds})' if kinds else ''}", f"{len(sweep.running)} running"]
    groups = sorted(sweep.waiting, key=lambda each: -len(each.trials))[:_REASONS]
    # why a sweep is paused is long, and is printed at the end
    reasons = [("paused" if each.reason.startswith("paused: ") else each.reason, len(each.trials)) for each in groups]
    parts += [f"{count} waiting ({reason})" for reason, count in reasons]
    parts += [] if sweep.best is None else [f"best {score_text(sweep.best.score)} (trial {sweep.best.number})"]
    return ", ".join(parts)


def format_result(sweep: LiveSweep) -> Iterator[str]:
    """What came out, and what to do next."""
    yield f"{sweep.name}: {counts_text(sweep.counts)}"
    if sweep.best is not None:
        yield best_text(sweep.best, sweep.metric)
        yield f"next: unetsweep report {sweep.name} | unetsweep show {sweep.name}/{sweep.best.number}"


def format_problems(sweep: LiveSweep) -> Iterator[str]:
    """What a user should know at the end: which trials failed, each reason once, that a limit is reached, and why the
    sweep is paused or does not continue."""
    failures = [each for each in sweep.failures if each.reason not in (sweep.paused or "")]
    yield from map(failed_text, failures)
    if sweep.paused is not None:
        yield f"the sweep {sweep.name} is paused: {sweep.paused}"
    elif failures:
        yield f"fix the cause, then run: unetsweep retry {sweep.name} --failed"
    if sweep.problem is not None and sweep.open_trials and sweep.paused is None:
        yield sweep.problem
    is_empty = sweep.is_over and not sweep.counts.get("complete")
    if is_empty and not failures and sweep.paused is None and not sweep.open_trials:
        yield "no trial is complete"
    if sweep.limit is not None:
        yield sweep.limit
