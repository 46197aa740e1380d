"""`init`: a sweep file for a set of images or a program of the user's own, and a profile for this cluster.

Rule 1: nothing is written before all is known and the files were checked as `validate` checks them.
Rule 2: a file that is there is replaced only if the user says so, and a profile never.
"""

import os
import shlex
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from unetsweep.app.init_text import Choice, Setup, command_text, profile_text
from unetsweep.app.memory import LARGEST_NODE
from unetsweep.atomic import SHARED, create_text, write_text
from unetsweep.config.load import is_name, spec_from
from unetsweep.config.profiles import Folders, find_profile, resources_from
from unetsweep.config.units import WHOLE_NODE, memory_kb
from unetsweep.core.metric import METRICS, direction_problem, name_problem
from unetsweep.core.retry_policy import memory_of_job
from unetsweep.core.spec import Resources
from unetsweep.doctor.cluster import cluster_facts
from unetsweep.doctor.profile import ClusterFacts, SuggestedProfile, profile_name, ranked, suggest_profile
from unetsweep.errors import Problem, SchedulerError, SpecError, UsageError
from unetsweep.schedulers.local import machine
from unetsweep.trial_config import METRIC

DEFAULT_FILE = Path("sweep.yaml")
EXAMPLE = Choice("score", "maximize", is_example=True)
"""What a program optimises if nobody says it: the file asks for it."""
_PROFILES = Path(".config", "unetsweep")


@dataclass(frozen=True, slots=True)
class NewProfile:
    """A profile that is to be written."""

    file: Path
    text: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A sweep file, and with it perhaps a profile, that are to be written."""

    file: Path
    text: str
    profile: NewProfile | None = None
    lacks_metric: bool = False
    """Whether the user has to fill in what is optimised before the sweep can be submitted."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the trainings will run, and the profile that has to be written for it."""

    setup: Setup
    new: NewProfile | None = None


def default_file(data: Path | None, command: str | None) -> Path:
    """The name of the file for these images, or for this program: theirs, if a sweep may have it."""
    stem = data.absolute().name if data is not None else _program(command or "")
    return Path(f"{stem}.yaml") if is_name(stem) else DEFAULT_FILE


def _program(command: str) -> str:
    """The name of the script in a command, or else of the program."""
    try:
        arguments = [word for word in shlex.split(command) if not word.startswith("-") and "{" not in word]
    except ValueError:  # a quotation mark without an end, which the check of the file reports
        return ""
    scripts = [word for word in arguments if Path(word).suffix in (".py", ".sh", ".R", ".jl", ".pl", ".rb")]
    return Path((scripts or arguments or [""])[0]).stem


def check_target(file: Path, *, replace: bool) -> None:
    """UsageError if the file cannot be written, or exists and is not to be replaced."""
    if file.is_dir():
        raise UsageError(f"{file}: is a folder; name a file with --output")
    if not file.absolute().parent.is_dir():
        raise UsageError(f"{file}: there is no folder {file.parent}; make it first, or name another file with --output")
    if os.path.lexists(file) and not replace:
        raise UsageError(f"{file}: exists already; name another file with --output, or replace it with --force")


def choice_of(metric: str | None, direction: str | None, *, is_built_in: bool) -> Choice:
    """What the sweep optimises; UsageError if no sweep can, or if the direction is missing."""
    if metric is None and direction is not None:
        raise UsageError("--direction needs --metric, which names the number that is minimized or maximized")
    if metric is None:
        return Choice(METRIC) if is_built_in else EXAMPLE
    for option, problem in (
        ("--metric", name_problem(metric, is_built_in=is_built_in)),
        ("--direction", direction_problem(metric, direction)),
    ):
        if problem is not None:
            raise UsageError(f"{option}: {problem}")
    return Choice(metric, None if metric in METRICS else direction)


@dataclass(frozen=True, slots=True)
class Cluster:
    """The cluster of this machine, if it has one that answers."""

    facts: ClusterFacts | None
    why_none: str = ""


def find_cluster() -> Cluster:
    """What SLURM shows of this machine's cluster, or why there is nothing."""
    try:
        facts = cluster_facts()
    except SchedulerError as error:
        return Cluster(None, f"no profile, because SLURM does not answer: {error}")
    if facts is None:
        return Cluster(None, "no SLURM here, so no profile: the sweep runs on this machine")
    return Cluster(facts) if facts.partitions else Cluster(None, "no profile, because SLURM shows no partition")


def existing_profile(name: str) -> Path | None:
    """The file of a profile; None: there is none."""
    return find_profile(name, _folders())


def default_profile(cluster: ClusterFacts) -> str:
    """The name of the profile of a cluster."""
    return profile_name(cluster.name)


def partitions_of(cluster: ClusterFacts) -> list[str]:
    """The names of the partitions, the best one first."""
    return [partition.name for partition in ranked(cluster)]


def suggest(cluster: ClusterFacts, name: str, partition: str | None, account: str | None) -> SuggestedProfile:
    """A profile for this cluster; UsageError for a name that no profile can have, or an unknown partition."""
    if not is_name(name):
        raise UsageError(f"--profile: there is no file {name}; a new profile has a name of letters, digits, - and _")
    found = suggest_profile(cluster, name, partition, account)
    if found is None:
        known = ", ".join(partitions_of(cluster))
        raise UsageError(f"--partition: found {partition!r}; the cluster has {known}")
    return found


def destination_of_new(cluster: ClusterFacts, profile: SuggestedProfile) -> Destination:
    """Jobs with a new profile."""
    file = Path.home() / _PROFILES / f"{profile.name}.yaml"
    memory = profile.memory_mb << 20 or LARGEST_NODE
    setup = Setup(profile.name, profile.gpus, memory)
    return Destination(setup, NewProfile(file, profile_text(cluster, profile)))


def destination_of_profile(name: str) -> Destination:
    """Jobs with a profile that is there; UsageError with its problems."""
    problems: list[Problem] = []
    resources = resources_from({}, _folders(), problems, name)
    if problems:
        raise UsageError("\n".join(f"--profile: {problem.message}" for problem in problems))
    more = "".join(_replaced(resources))
    wanted = resources.mem_max or memory_of_job(resources)
    memory = LARGEST_NODE if wanted in (None, WHOLE_NODE) else memory_kb(wanted) << 10
    return Destination(Setup(name, min(1, resources.gpus), memory, more))


def _replaced(resources: Resources) -> list[str]:
    """The keys of a profile that a small network does not need: several processes for each training."""
    if resources.processes == 1:
        return []
    return [", gpus: 1, pack: 1"] if resources.gpus else [", processes: 1"]


def destination_here() -> Destination:
    """Processes of this machine."""
    devices, cores = len(machine.devices()), len(os.sched_getaffinity(0))
    return Destination(Setup(None, min(1, devices), machine.memory(), cores=cores, devices=devices))


def draft_of_command(file: Path, command: str, choice: Choice, destination: Destination) -> Draft:
    """The files for a program of the user's own; SpecError with what is wrong with the command."""
    filled = replace(choice, is_example=False)
    draft = checked(Draft(file, command_text(file, command, filled, destination.setup), destination.new))
    return replace(draft, text=command_text(file, command, choice, destination.setup), lacks_metric=choice.is_example)


def checked(draft: Draft) -> Draft:
    """The draft, after `validate`'s checks of its text with the profile that it will have."""
    with tempfile.TemporaryDirectory() as home:
        if draft.profile is not None:
            (Path(home) / _PROFILES).mkdir(parents=True)
            (Path(home) / _PROFILES / draft.profile.file.name).write_text(draft.profile.text, encoding="utf-8")
        folders = Path.home() if draft.profile is None else Path(home)
        try:
            spec_from(draft.text, str(draft.file), home=folders)
        except SpecError as error:
            raise SpecError(f"{draft.file} as it would be written", error.problems) from None
    return draft


def write(draft: Draft, *, replace: bool) -> None:
    """Write the files, or none of them. UsageError if one has appeared since the checks."""
    made = draft.profile is not None and _create_profile(draft.profile)
    try:
        check_target(draft.file, replace=replace)
        if replace:
            write_text(draft.file, draft.text, mode=SHARED)
        elif not create_text(draft.file, draft.text, mode=SHARED):
            raise UsageError(f"{draft.file}: was made by another command meanwhile; nothing was written")
    except BaseException:
        if made and draft.profile is not None:
            draft.profile.file.unlink(missing_ok=True)
        raise


def _create_profile(profile: NewProfile) -> bool:
    profile.file.parent.mkdir(parents=True, exist_ok=True)
    if not create_text(profile.file, profile.text, mode=SHARED):
        raise UsageError(f"{profile.file}: was made by another command meanwhile; run this again to use it")
    return True


def _folders() -> Folders:
    return Folders(Path.cwd(), Path.home())
