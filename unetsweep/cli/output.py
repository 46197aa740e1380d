"""What several commands share: options, and how events and states are printed."""

import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from unetsweep.app.addresses import Selection
from unetsweep.app.events import (
    ActionApplied,
    CheckpointsAwaited,
    Event,
    ImagesRead,
    ImagesSplit,
    LeaseHeld,
    ReconciliationStarted,
    RunsShared,
    SubmissionsUnconfirmed,
    TrialsLeft,
    TrialsReopened,
    WarningEvent,
    WorkLeft,
)
from unetsweep.app.start import SubmitResult
from unetsweep.cli.echo import echo
from unetsweep.core import paths
from unetsweep.core.capacity import QUEUE_FULL
from unetsweep.core.describe import describe
from unetsweep.core.estimate import format_estimate
from unetsweep.core.live_text import FEW, format_some
from unetsweep.errors import LimitError
from unetsweep.texts import counted

results_option = click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("results"),
    help="Folder that holds the sweeps [results].",
)
profile_option = click.option("--profile", metavar="NAME", help="SLURM profile; replaces the sweep's own.")
set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set a key of the file to another value for this sweep, such as slurm.time=2h. The value is YAML. May be "
    "repeated. The sweep keeps it for later submits.",
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


def print_event(event: Event) -> None:
    """Print what a use case reports while it works."""
    match event:
        case WarningEvent(message=message):
            warn(message)
        case ImagesRead() | ImagesSplit() | RunsShared() | WorkLeft():
            _print_explanation(event)
        case ReconciliationStarted(sweep=sweep, executor=executor, root=root):
            echo(f"sweep {sweep} on {executor}, in {root}")
        case ActionApplied(action=action):
            echo(describe(action))
        case LeaseHeld():
            echo("another reconciliation is running; it will take care of this sweep", err=True)
        case SubmissionsUnconfirmed(count=count):
            echo(f"waiting to see whether {counted(count, 'earlier submission')} reached the queue …", err=True)
        case CheckpointsAwaited(trials=trials, seconds=seconds):
            echo(
                f"trial {format_some(trials)}: waiting for the end of an epoch, to save a checkpoint; at most "
                f"{seconds:.0f} s …",
                err=True,
            )
        case TrialsReopened() | TrialsLeft():
            _print_reopened(event) if isinstance(event, TrialsReopened) else _print_left(event)


def _print_explanation(event: ImagesRead | ImagesSplit | RunsShared | WorkLeft) -> None:
    """Print what `submit` says about the images and the work of a sweep."""
    match event:
        case ImagesRead(root=folder):
            if sys.stderr.isatty():  # in a log it would only stand before what matters
                echo(f"reading the images in {folder} …", err=True)
        case ImagesSplit():
            echo(format_split(event))
        case RunsShared():
            echo(
                f"{event.trials} trials share {counted(event.runs, 'run')}, because they differ only in epochs: "
                f"{event.epochs_to_train} of {event.epochs_asked} epochs are trained"
            )
        case WorkLeft(estimate=estimate, uses_gpus=gpus):
            echo(f"left to train: {format_estimate(estimate, gpus=gpus)}")


def print_warning(event: Event) -> None:
    """Print a use case's warnings only, for output that a program reads."""
    if isinstance(event, WarningEvent):
        print_event(event)


def format_split(split: ImagesSplit) -> str:
    """One line: `images: 60 train, 20 validate, 20 test; 20 groups by eye, found from the pixels, each in …`."""
    test = f"{split.test} test" if split.test else "none test"
    counts = f"images: {split.training} train, {split.validation} validate, {test}"
    if split.rule is None:
        return f"{counts}; not grouped, because data.split.groups is none"
    groups = counted(split.groups, "group")
    return f"{counts}; {groups} by {split.rule}" + (
        ", each in one of train and validate only" if split.is_clean else ""
    )


def _print_left(event: TrialsLeft) -> None:
    """A line for each state of the trials that `retry` did not open: why, and what opens them."""
    for state, trials in event.trials.items():
        command = f"`unetsweep retry {event.sweep} {format_some(trials, ' ')}`"
        match state:
            case "complete":
                why = f"a trial with a result is not retried; with new seeds: `unetsweep confirm {event.sweep}`"
            case "stopping":
                why = f"cancelled, and its job has not ended yet; when it has: {command}"
            case "open":
                why = "it has not ended; it trains without a retry, and its earlier attempts no longer count"
            case "cancelled":
                why = f"only with --cancelled, or if you name {'it' if len(trials) == 1 else 'them'}: {command}"
            case _:
                why = f"only if you name {'it' if len(trials) == 1 else 'them'}: {command}"
        echo(f"not retried: {counted(len(trials), f'{state} trial')} ({format_some(trials)}): {why}")


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

    Return False if it was watched, and something went wrong (`watch_sweep`).
    """
    state, name = started.state, started.directory.name
    if state is not None:
        echo(f"{state.ended} ended, {state.open} open; jobs: {_format_jobs(state.job_ids) or 'none'}")
        if state.held and state.why_not_queued is None:
            waits = "waits" if state.held == 1 else "wait"
            echo(f"{counted(state.held, 'trial')} {waits}: {QUEUE_FULL}")
        if state.limit is not None and not watch:
            echo(state.limit)
    if watch:
        from unetsweep.cli.watching import watch_sweep  # imports the live view, which most commands do not draw

        return watch_sweep(started.directory, reconciles=True)
    if state is not None and state.why_not_queued is not None:
        raise LimitError(
            f"{state.why_not_queued}: no job of {name} is in the queue, so nothing tries again by itself. When others "
            f"of your jobs have ended, run `{_submit(started.directory.root)}`, or now with --watch, which tries again"
        )
    if state is not None and not state.open and state.why_not_queued is None:
        echo(f"nothing is left to train; next: unetsweep report {name} | unetsweep retry {name}")
    if state is None or state.open:
        echo(
            f"next: unetsweep status {name} | unetsweep logs {name}/TRIAL --follow | unetsweep report {name} | "
            f"unetsweep cancel {name}"
        )
    return True


def _submit(root: Path) -> str:
    return f"unetsweep submit {shlex.quote(str(root / paths.SPEC))}"


def _format_jobs(job_ids: Sequence[str]) -> str:
    """All ids if they are few, else `18808_0 … 18808_7 (8)`."""
    return " ".join(job_ids) if len(job_ids) <= FEW else f"{job_ids[0]} … {job_ids[-1]} ({len(job_ids)})"
