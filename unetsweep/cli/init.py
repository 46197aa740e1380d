"""`unetsweep init`: write a first sweep file, and a SLURM profile."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from unetsweep.app import init
from unetsweep.app.init import Cluster, Destination, Draft
from unetsweep.app.init_text import Choice
from unetsweep.cli.echo import echo
from unetsweep.core.metric import METRICS
from unetsweep.doctor.profile import ClusterFacts
from unetsweep.errors import UsageError
from unetsweep.texts import printable

TO_SETTLE = 1
"""Exit status if `submit` would refuse the sweep until the images are settled, as that of `data check`."""


class Questions:
    """Asks on a terminal. Elsewhere, and with `--yes`, each answer is its default."""

    def __init__(self, *, are_asked: bool) -> None:
        self.are_asked = are_asked

    def ask(self, question: str, default: str, choices: Sequence[str] = ()) -> str:
        """The answer to a question, the default if the user types Enter."""
        if not self.are_asked:
            return default
        allowed = f" ({', '.join(choices)})" if choices else ""
        while True:
            text = printable(f"{question}{allowed}")
            answer: str = click.prompt(text, default=printable(default), err=True).strip()
            if not choices or answer in choices:
                return answer
            echo(f"found {answer!r}; one of {', '.join(choices)}", err=True)

    def is_agreed(self, question: str) -> bool:
        """Whether the user says yes; the default is no."""
        return self.are_asked and click.confirm(printable(question), default=False, err=True)


@click.command("init")
@click.argument("data", metavar="[DATA_DIR]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--trainer",
    "trainer",
    metavar="COMMAND",
    help="Sweep a program of your own: 'python my_train.py --rate {learning_rate} {out}'. No images are needed.",
)
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(path_type=Path), help="The sweep file [DATA_DIR's name.yaml]."
)
@click.option("--metric", metavar="NAME", help="What to optimise [val_iou; with --trainer, to be filled in].")
@click.option("--direction", type=click.Choice(["minimize", "maximize"]), help="Whether less or more of it is better.")
@click.option("--profile", metavar="NAME", help="SLURM profile to use, or to write if it is new [the cluster's name].")
@click.option("--partition", metavar="NAME", help="Partition of a new profile [one with GPUs].")
@click.option("--account", metavar="NAME", help="Account of a new profile [your default account].")
@click.option("-y", "--yes", is_flag=True, help="Ask nothing: take the options and the defaults.")
@click.option("--force", is_flag=True, help="Replace the sweep file if it exists. A profile is never replaced.")
def command(
    data: Path | None,
    trainer: str | None,
    output: Path | None,
    metric: str | None,
    direction: str | None,
    profile: str | None,
    partition: str | None,
    account: str | None,
    yes: bool,
    force: bool,
) -> None:
    """Write a first sweep file for the images in DATA_DIR, or for a program of your own.

    The images are checked as by `data check`, and the file says what was found and which values follow from it. On a
    cluster it also writes a profile for SLURM into ~/.config/unetsweep, unless there is one of that name. On a terminal
    it asks; Enter takes the answer in brackets, and nothing is written before the last question. The exit status is 1
    if the file was written, but the images have errors to settle first.
    """
    questions = Questions(are_asked=not yes and _is_terminal())
    if trainer is not None and data is not None:
        raise UsageError("--trainer: a program of your own reads its own data; leave out DATA_DIR")
    if trainer is None and data is None:
        data = Path(_folder(questions))
    file = output or Path(questions.ask("Sweep file to write", str(init.default_file(data, trainer))))
    replace = force or (file.is_file() and questions.is_agreed(f"{file} exists. Replace it?"))
    init.check_target(file, replace=replace)
    choice = _choice(questions, metric, direction, is_built_in=trainer is None)
    if data is not None:
        draft, is_ready = _of_images(data, file, choice, questions, (profile, partition, account))
    else:
        destination = _destination(questions, profile, partition, account)
        draft, is_ready = init.draft_of_command(file, trainer or "", choice, destination), True
    init.write(draft, replace=replace)
    _print_written(draft)
    sys.exit(0 if is_ready else TO_SETTLE)


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _folder(questions: Questions) -> str:
    if not questions.are_asked:
        raise UsageError("name the folder of your images (`unetsweep init DATA_DIR`), or your program with --trainer")
    return questions.ask("Folder of the images", "data")


def _choice(questions: Questions, metric: str | None, direction: str | None, *, is_built_in: bool) -> Choice:
    if metric is None and direction is None and not is_built_in and questions.are_asked:
        metric = questions.ask("Number that your program writes into result.json", init.EXAMPLE.metric)
    if metric is not None and direction is None and metric not in METRICS and not is_built_in and questions.are_asked:
        direction = questions.ask(f"Is less or more of {metric} better", "maximize", ("minimize", "maximize"))
    return init.choice_of(metric, direction, is_built_in=is_built_in)


def _of_images(
    data: Path, file: Path, choice: Choice, questions: Questions, slurm: tuple[str | None, str | None, str | None]
) -> tuple[Draft, bool]:
    from unetsweep.app.data_text import format_findings  # these import cv2, which a program of the user's own may lack
    from unetsweep.app.init_images import draft_of_images, survey_images

    survey = survey_images(data)
    echo(*format_findings(survey.remarks), err=True)
    draft = draft_of_images(file, survey, choice, _destination(questions, *slurm))
    return draft, not survey.errors


def _destination(questions: Questions, profile: str | None, partition: str | None, account: str | None) -> Destination:
    """Where the trainings will run: with a profile that is there, with a new one, or on this machine."""
    if profile is not None and init.existing_profile(profile) is not None:
        return _with_existing(profile, partition, account)
    cluster = init.find_cluster()
    if cluster.facts is None:
        return _without_cluster(cluster, profile or partition or account)
    name = profile or questions.ask("Name of the SLURM profile", init.default_profile(cluster.facts))
    if init.existing_profile(name) is not None:
        return _with_existing(name, partition, account)
    return _with_new(questions, cluster.facts, name, partition, account)


def _with_existing(name: str, partition: str | None, account: str | None) -> Destination:
    if partition or account:
        option = "--partition" if partition else "--account"
        raise UsageError(f"{option}: the profile {name} is there already, and is not changed; --profile names another")
    echo(f"the profile {name} is there already, and the sweep uses it", err=True)
    return init.destination_of_profile(name)


def _without_cluster(cluster: Cluster, wanted: str | None) -> Destination:
    if wanted is not None:
        raise UsageError(f"{wanted!r}: {cluster.why_none}")
    echo(cluster.why_none, err=True)
    return init.destination_here()


def _with_new(
    questions: Questions, cluster: ClusterFacts, name: str, partition: str | None, account: str | None
) -> Destination:
    names = init.partitions_of(cluster)
    if partition is None and len(names) > 1:
        partition = questions.ask("Partition", names[0], names)
    found = init.suggest(cluster, name, partition, account)
    accounts = cluster.accounts_of(found.partition)
    if account is None and len(accounts) > 1:
        found = init.suggest(cluster, name, partition, questions.ask("Account", accounts[0], accounts))
    return init.destination_of_new(cluster, found)


def _print_written(draft: Draft) -> None:
    file = shlex.quote(str(draft.file))
    if draft.profile is not None:
        profile = draft.profile.file
        echo(f"{profile}: written; `unetsweep doctor --profile {profile.stem}` tests it", err=True)
    first = "fill in study.metric and study.direction" if draft.lacks_metric else "read it"
    echo(f"{draft.file}: written; {first}, then: unetsweep submit {file} --dry-run", err=True)
