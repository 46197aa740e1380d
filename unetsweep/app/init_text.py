"""The text of the files that `unetsweep init` writes."""

import json
import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jinja2

from unetsweep.config.units import time_text
from unetsweep.config.yaml12 import Document, read
from unetsweep.core.example_space import example_space, example_trials, own_placeholders
from unetsweep.core.starting_values import StartingValues
from unetsweep.core.trainer_command import placeholders
from unetsweep.doctor.advice import local_parallel
from unetsweep.doctor.profile import ClusterFacts, SuggestedProfile
from unetsweep.schedulers.slurm.parse_nodes import NodeGroup, PartitionNodes
from unetsweep.texts import counted, printable

WIDTH = 110
_PLAIN = re.compile(r"[A-Za-z_./~][\w./~-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Setup:
    """Where the trainings of a sweep run."""

    profile: str | None
    """A SLURM profile; None: this machine."""
    gpus: int
    """GPUs of a training."""
    memory: int
    """Bytes that a training may use."""
    more: str = ""
    """Keys after the profile's name that replace its own: `, gpus: 1`."""
    cores: int = 1
    """Of this machine."""
    devices: int = 0
    """GPUs of this machine."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What a sweep optimises."""

    metric: str
    direction: str | None = None
    """None: it is known for this metric."""
    is_example: bool = False
    """Nobody has named the metric, so the file asks for it."""


@dataclass(frozen=True, slots=True)
class ImagesText:
    """What a sweep file says about its images."""

    root: str
    """The folder as the user named it."""
    found: str
    split: str
    size: str
    groups: str
    """`data.split.groups`."""
    settle: tuple[str, ...]
    """What `submit` would refuse."""


def images_text(file: Path, images: ImagesText, values: StartingValues, choice: Choice, setup: Setup) -> str:
    """Return the sweep file for a set of images."""
    fits = max(1, setup.memory // (2 * values.memory or 1))
    return _render(
        "images.yaml.j2",
        file=file,
        root=printable(shlex.quote(images.root)),
        root_value=images.root,
        found=images.found,
        split=images.split,
        size=images.size,
        groups=images.groups,
        settle=images.settle,
        values=values,
        metric=choice.metric,
        setup=setup,
        parallel=min(local_parallel(setup.cores, setup.devices), fits),
        of_machine=_machine_text(setup),
    )


def command_text(file: Path, command: str, choice: Choice, setup: Setup) -> str:
    """Return the sweep file for a program of the user's own."""
    space = example_space(command)
    return _render(
        "command.yaml.j2",
        file=file,
        command=command,
        space=space,
        trials=example_trials(space),
        has_own=not {"config", *own_placeholders(command)}.isdisjoint(placeholders(command)),
        metric=choice.metric,
        direction=choice.direction,
        is_example=choice.is_example,
        setup=setup,
        parallel=local_parallel(setup.cores, setup.devices),
        of_machine=_machine_text(setup),
    )


def _machine_text(setup: Setup) -> str:
    """Return what decides how many trainings a machine runs at once: `2 cores, two for each training`."""
    if setup.devices:
        return f"{counted(setup.devices, 'GPU')}, one for each training"
    return f"{counted(setup.cores, 'core')}, two for each training" if setup.cores > 1 else "1 core"


def profile_text(cluster: ClusterFacts, profile: SuggestedProfile) -> str:
    """Return the profile of a cluster."""
    others = [account for account in cluster.accounts_of(profile.partition) if account != profile.account]
    limit = profile.partition.limit_min
    environment = _environment()
    return environment.get_template("profile.yaml.j2").render(
        cluster=f"the cluster {printable(cluster.name)}" if cluster.name else "this cluster",
        partitions=[_describe(each) for each in cluster.partitions],
        profile=profile,
        accounts=f"   # you also have {printable(', '.join(others))}" if others else "",
        qos=[printable(each) for each in cluster.qos],
        memory=_memory(profile.memory_mb),
        time=time_text(profile.time_min),
        limit="the partition has no limit" if limit is None else f"the partition allows {time_text(limit)}",
    )


def _describe(partition: PartitionNodes) -> str:
    """Return a line about a partition: `gpu (default): 2 nodes with 64 CPUs, 512G, 4 GPUs (a100); at most 48h`."""
    notes = [*(["default"] if partition.is_default else []), *([] if partition.is_up else ["not up"])]
    limit = "no time limit" if partition.limit_min is None else f"at most {time_text(partition.limit_min)}"
    nodes = ", ".join(map(_describe_group, partition.groups))
    remark = f" ({', '.join(notes)})" if notes else ""
    return f"{partition.name}{remark}: {nodes}; {limit}"


def _describe_group(group: NodeGroup) -> str:
    parts = [counted(group.cpus, "CPU"), *([_memory(group.memory_mb)] if group.memory_mb else [])]
    parts += [counted(count, f"{kind} GPU".strip()) for kind, count in group.gpus.items()]
    return f"{counted(group.nodes, 'node')} with {' + '.join(parts)}"


def _memory(megabytes: int) -> str:
    """Return an amount of memory as a profile has it; empty for none."""
    if not megabytes:
        return ""
    return f"{megabytes}M" if megabytes < 1024 else f"{megabytes // 1024}G"


def _render(template: str, *, file: Path, **values: object) -> str:
    name = printable(shlex.quote(file.stem))
    text = _environment().get_template(template).render(file=printable(shlex.quote(str(file))), name=name, **values)
    return _with_aligned_comments(text)


def _with_aligned_comments(text: str) -> str:
    """Return the text with the explanations of its commands, which follow three spaces, one below the other."""
    rows = [re.fullmatch(r"(#   unetsweep .*?)   +(\S.*)", line) for line in text.split("\n")]
    width = max((len(row[1]) for row in rows if row), default=0)
    lines = text.split("\n")
    return "\n".join(f"{row[1]:{width}}   {row[2]}" if row else line for row, line in zip(rows, lines, strict=True))


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=jinja2.select_autoescape(),  # only of HTML
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"yaml": yaml_text, "comment": comment}
    return environment


def yaml_text(text: str) -> str:
    """Return a text as it is written in YAML, in quotes where that is needed.

    >>> yaml_text("data/eyes"), yaml_text("1e4"), yaml_text("null"), yaml_text("a: b")
    ('data/eyes', '"1e4"', '"null"', '"a: b"')
    """
    document = read(text) if _PLAIN.fullmatch(text) else None
    is_plain = isinstance(document, Document) and document.value == text
    return text if is_plain else json.dumps(text, ensure_ascii=False)


def comment(text: str, first: str = "# ", later: str = "") -> str:
    """Return a text as the lines of a comment. `first` and `later` begin its first line and the others.

    >>> comment("found\\n4 images", "  # ")
    '  # found 4 images'
    """
    return "\n".join(_lines(printable(text), first, later or first))


def _lines(text: str, first: str, later: str) -> Iterator[str]:
    yield from textwrap.wrap(
        " ".join(text.split()),
        WIDTH,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )
