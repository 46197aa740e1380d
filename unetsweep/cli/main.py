"""The command line: one file a command, found by name, imported when it is used."""

import errno
import importlib
import os
import sys

import click

from unetsweep import __version__
from unetsweep.errors import NO_ROOM, StateError, UnetsweepError
from unetsweep.process import without_empty

COMMANDS = {
    "submit": "Start or resume a sweep.",
    "status": "Say where every trial is, and why.",
    "report": "Print the results as a table.",
    "logs": "Show what a trial's job printed.",
    "cancel": "End a sweep's jobs, or those of some trials.",
    "adopt": "Continue a sweep whose folder was copied, moved or renamed, or on another cluster.",
    "repair": "Check a sweep's files, and mend what can be mended.",
    "retry": "Send trials again that ended without a result.",
    "confirm": "Train a sweep's leaders again with other seeds, and say which cannot be told apart.",
    "reproduce": "Train a trial again, and say whether it comes out the same.",
    "train": "Train one config.json by hand.",
    "predict": "Draw a checkpoint's masks for images.",
    "data": "Make sample images; check a set; measure the simplest baseline.",
    "doctor": "Check this machine, its cluster and the results folder.",
    "sync": "Upload the offline experiment archives to Comet.",
    "exit-hook": "",
    "periodic": "",
    "reconciler-job": "",
}
"""Name and one line of each; those without a line are not for people."""


_OF_THE_MACHINE = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, *NO_ROOM, errno.EIO, errno.ESTALE),
    *(errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG),
}
"""What a disk or a folder may refuse to anybody: no bug of ours, so no traceback."""


class Commands(click.Group):
    """Imports a command only when it is called, so that `--help` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"unetsweep.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, line in COMMANDS.items() if line])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="unetsweep")
def program() -> None:
    """Sweeps of a vessel-segmentation U-Net over epochs, batch size and learning rate, on SLURM or here.

    A first sweep: `unetsweep data sample data/sample`, then `unetsweep submit sweeps/quickstart.yaml --watch`,
    then `unetsweep report`.
    """


def _is_file(error: UnetsweepError) -> bool:
    """Whether a file of ours is not what it should be."""
    return type(error) is StateError and "`unetsweep repair" not in str(error)


def _leave_out_working_directory() -> None:
    """Nothing is imported from there, neither here nor by a job, because PYTHONPATH has an empty element."""
    given = os.environ.get("PYTHONPATH", "")
    kept = os.environ["PYTHONPATH"] = without_empty(given)
    if kept != given:
        here = os.getcwd()
        sys.path[:] = [path for path in sys.path if path != here or here in kept.split(os.pathsep)]


def main() -> None:
    """Run it; errors meant for people are printed as such, bugs keep their tracebacks."""
    _leave_out_working_directory()
    try:
        program()
    except UnetsweepError as error:
        advice = "; `unetsweep repair SWEEP` mends what can be mended" if _is_file(error) else ""
        click.echo(f"unetsweep: {error}{advice}", err=True)
        sys.exit(error.exit_status)
    except OSError as error:
        if error.errno not in _OF_THE_MACHINE:
            raise
        place = f"{error.filename}: " if error.filename else ""
        deed = "free some room there" if error.errno in NO_ROOM else "see to it"
        click.echo(f"unetsweep: {place}{error.strerror}; nothing is lost: {deed} and run this again", err=True)
        sys.exit(1)
