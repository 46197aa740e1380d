"""What several commands share: options, and how events and states are printed."""

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from unetsweep.app.addresses import Selection
from unetsweep.app.events import (
    ActionApplied,
    Event,
    LeaseHeld,
    ReconciliationStarted,
    SubmissionsUnconfirmed,
    TrialsReopened,
    WarningEvent,
)
from unetsweep.app.start import SubmitResult
from unetsweep.app.watch import WatchProgress
from unetsweep.app.watch import watch as watch_sweep
from unetsweep.cli.echo import echo
from unetsweep.core import paths
from unetsweep.core.capacity import QUEUE_FULL
from unetsweep.core.describe import describe
from unetsweep.errors import LimitError
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.texts import counted

FEW = 8
"""A list with more elements than this is shortened: it would fill several lines."""

results_option = click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("results"),
    help="Folder that holds the sweeps [results].",
)


ADDRESSES = "SWEEP[/TRIAL]..."
"""How usage lines write several addresses."""


def print_notes(selections: Iterable[Selection]) -> None:
    """Say for each job id that was given which trials it stands for."""
    for selection in selections:
        if selection.note is not None:
            echo(selection.note, err=True)


def warn(message: str) -> None:
    """Print a warning to stderr."""
    echo(f"warning: {message}", err=True)


def format_some(items: Sequence[object], separator: str = ", ") -> str:
    """The first few items on one line: `0, 1, 2, 3, 4, 5, 6, 7 …`."""
    return separator.join(map(str, items[:FEW])) + (" …" if len(items) > FEW else "")


def print_event(event: Event) -> None:
    """Print what a use case reports while it works."""
    match event:
        case WarningEvent(message=message):
            warn(message)
        case ReconciliationStarted(sweep=sweep, executor=executor, root=root):
            echo(f"sweep {sweep} on {executor}, in {root}")
        case ActionApplied(action=action):
            echo(describe(action))
        case LeaseHeld():
            echo("another reconciliation is running; it will take care of this sweep", err=True)
        case SubmissionsUnconfirmed(count=count):
            echo(f"waiting to see whether {counted(count, 'earlier submission')} reached the queue …", err=True)
        case TrialsReopened():
            _print_reopened(event)


def _print_reopened(event: TrialsReopened) -> None:
    count = len(event.trials)
    trials = f": {format_some(event.trials)}" if event.trials else ""
    are = "is" if count == 1 else "are"
    echo(f"{counted(count, 'trial')} of {event.sweep} {are} open again{trials}")
    if event.from_scratch:
        numbers = ", ".join(f"{trial:04d}" for trial in event.from_scratch)
        echo(f"run.keep_checkpoints or repair removed the checkpoint, so these train from scratch: {numbers}")


def print_started(started: SubmitResult, *, watch: bool = False) -> bool:
    """Print the state of a sweep after `start_or_resume`. Then watch it, or name the commands that come next.

    Return False if it was watched, and a trial failed or the sweep is paused.
    """
    state, name = started.state, started.directory.name
    if state is not None:
        echo(f"{state.ended} ended, {state.open} open; jobs: {_format_jobs(state.job_ids) or 'none'}")
        if state.held and state.why_not_queued is None:
            waits = "waits" if state.held == 1 else "wait"
            echo(f"{counted(state.held, 'trial')} {waits}: {QUEUE_FULL}")
    if watch:
        return _print_progress(started.directory)
    if state is not None and state.why_not_queued is not None:
        raise LimitError(
            f"{state.why_not_queued}: no job of {name} is in the queue, so nothing tries again by itself. When others "
            f"of your jobs have ended, run `{_submit(started.directory.root)}`, or now with --watch, which tries again"
        )
    if state is None or state.open:
        echo(
            f"next: unetsweep status {name} | unetsweep logs {name}/TRIAL --follow | unetsweep report {name} | "
            f"unetsweep cancel {name}"
        )
    return True


def _submit(root: Path) -> str:
    return f"unetsweep submit {shlex.quote(str(root / paths.SPEC))}"


def _print_progress(directory: SweepDir) -> bool:
    """Watch a sweep until it has ended or is paused, and print its progress when it changes. Ctrl-C ends only this
    view. Return whether it ended without a failure."""
    printed, progress = "", WatchProgress(0, 0, ())
    try:
        for progress in watch_sweep(directory):
            line = format_progress(progress)
            if line != printed:
                echo(line)
                printed = line
    except KeyboardInterrupt:
        echo(
            "",
            f"the trainings continue; see them with: unetsweep status {directory.name} "
            f"(or submit … --watch again); end them with: unetsweep cancel {directory.name}",
        )
        return True
    echo(*format_end(directory.name, progress), err=True)
    return not progress.failures and progress.paused is None


def format_progress(progress: WatchProgress) -> str:
    """One line: `3 ended (1 failed), 2 running, 1 waiting (all 2 slots are in use)`."""
    failed = f" ({progress.failed} failed)" if progress.failed else ""
    parts = [f"{progress.ended} ended{failed}", f"{progress.running} running"]
    # why a sweep is paused is long, and is printed at the end
    reasons = [("paused" if reason.startswith("paused: ") else reason, n) for reason, n in progress.waiting[:3]]
    parts += [f"{count} waiting ({reason})" for reason, count in reasons]
    return ", ".join(parts)


def format_end(sweep: str, progress: WatchProgress) -> list[str]:
    """What went wrong, each reason once: which trials failed, and why the sweep is paused; empty: nothing."""
    lines = []
    for each in progress.failures:
        if each.reason in (progress.paused or ""):
            continue
        lines.append(f"{counted(len(each.trials), 'trial')} failed ({format_some(each.trials)}): {each.reason}")
    if progress.paused is not None:
        lines.append(f"the sweep {sweep} is paused: {progress.paused}")
    elif lines:
        lines.append(f"fix the cause, then run: unetsweep retry {sweep} --failed")
    return lines


def _format_jobs(job_ids: Sequence[str]) -> str:
    """All ids if they are few, else `18808_0 … 18808_7 (8)`."""
    return " ".join(job_ids) if len(job_ids) <= FEW else f"{job_ids[0]} … {job_ids[-1]} ({len(job_ids)})"
