"""The command line. Each command is one module of this package, imported only when it is called."""

import difflib
import errno
import importlib
import os
import sys

import click

from unetsweep import __version__
from unetsweep.cli.echo import echo, echo_text
from unetsweep.errors import NO_ROOM, StateError, UnetsweepError
from unetsweep.process import without_empty

COMMANDS = {
    "init": "Write a first sweep file for your images or your program, and a SLURM profile.",
    "submit": "Start or resume a sweep.",
    "add": "Add a point to a sweep by hand.",
    "validate": "Check a sweep's YAML file, without images or a cluster.",
    "list": "Show all sweeps, and how they stand.",
    "show": "Show one trial: its state and why, attempts, learning curve and scores.",
    "status": "Show how a sweep stands: its best trial, its end, and the state of every trial.",
    "watch": "Follow a sweep on a full screen until it is over.",
    "report": "Print the results of a sweep, or compare several.",
    "logs": "Show the log of a trial's last job.",
    "cancel": "Cancel a sweep, or some of its trials.",
    "adopt": "Continue a sweep whose folder was copied, moved or renamed, or on another cluster.",
    "repair": "Check a sweep's files, and repair what can be repaired.",
    "retry": "Train failed, diverged, cancelled or pruned trials again.",
    "confirm": "Train a sweep's best trials again with new seeds, and compare them.",
    "reproduce": "Train a trial again, and check that the result is the same.",
    "train": "Train one config.json by hand.",
    "predict": "Segment images with a checkpoint.",
    "data": "Draw, import, download or check a dataset, or score the simplest method, a threshold.",
    "doctor": "Check this machine, its cluster and the results folder.",
    "client": "Print the client for a training program of your own.",
    "sync": "Upload the experiment archives to Comet.",
    "exit-hook": "",
    "periodic": "",
    "reconciler-job": "",
}
"""Each command and its line in `unetsweep --help`. Commands without a line are called by jobs only, and are hidden."""

_NO_COMMANDS = {"best": "For the best trial of a sweep: unetsweep show SWEEP/best"}
"""Names that users may take for a command, each with what to write instead."""


_MACHINE_ERRORS = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, *NO_ROOM, errno.EIO, errno.ESTALE),
    *(errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG),
    *(errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM),
}
"""Errors of a disk, a folder or a machine, not of this program: they are printed without a traceback."""
_REMEDIES = {
    **dict.fromkeys(NO_ROOM, "free some space there"),
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.EAGAIN: "end some processes, or raise their limit (ulimit -u),",
    errno.ENOMEM: "free some memory",
}
"""What to do about an error; `fix that` about any other."""


class Commands(click.Group):
    """Imports a command only when it is called, so `--help` stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _NO_COMMANDS:
            ctx.fail(f"No such command '{cmd_name}'. {_NO_COMMANDS[cmd_name]}")
        if cmd_name not in COMMANDS:
            near = difflib.get_close_matches(cmd_name, [name for name, line in COMMANDS.items() if line], 1)
            if near:
                ctx.fail(f"No such command '{cmd_name}'; did you mean '{near[0]}'?")
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
    """Hyperparameter sweeps of a vessel-segmentation U-Net, on SLURM or on this machine.

    To start: `unetsweep data sample data/sample`, then `unetsweep submit sweeps/quickstart.yaml --watch`,
    then `unetsweep report`. With images of your own: `unetsweep init DATA_DIR`.
    """


def _repair_may_help(error: UnetsweepError) -> bool:
    """Whether a file of the sweep is corrupt, and the message does not suggest `unetsweep repair` itself."""
    return type(error) is StateError and "`unetsweep repair" not in str(error)


def _leave_out_working_directory() -> None:
    """Remove empty elements from PYTHONPATH: they mean the working directory, where a user's file may have the name of
    a library. Jobs inherit the variable."""
    given = os.environ.get("PYTHONPATH", "")
    kept = os.environ["PYTHONPATH"] = without_empty(given)
    if kept != given:
        here = os.getcwd()
        sys.path[:] = [path for path in sys.path if path != here or here in kept.split(os.pathsep)]


def main() -> None:
    """Run the command line. An UnetsweepError is printed as one message; a bug keeps its traceback."""
    _leave_out_working_directory()
    try:
        program()
    except UnetsweepError as error:
        advice = "; `unetsweep repair SWEEP` repairs what can be repaired" if _repair_may_help(error) else ""
        echo_text(f"unetsweep: {error}{advice}", err=True)
        sys.exit(error.exit_status)
    except OSError as error:
        if error.errno not in _MACHINE_ERRORS:
            raise
        where = f"{error.filename}: " if error.filename else ""
        remedy = _REMEDIES.get(error.errno, "fix that")
        echo(f"unetsweep: {where}{error.strerror}; nothing is lost: {remedy} and run this again", err=True)
        sys.exit(1)
