"""Probes of SLURM from this machine: whether its commands answer, how fast, and what its limits are."""

import re
import shutil
import time
from collections.abc import Iterator, Sequence
from functools import partial

from unetsweep.core.spec import Resources
from unetsweep.doctor.facts import Command, Partition, Partitions
from unetsweep.doctor.rules import Check, Fact, run_probe
from unetsweep.errors import SchedulerError
from unetsweep.schedulers.slurm import commands, limits, parse
from unetsweep.schedulers.slurm.partitions import time_limits, time_problems

ANSWER_S = 15.0  # a busy controller may need several seconds
COMMANDS = {
    Check.SBATCH: ("sbatch", "--version"),
    Check.SQUEUE: ("squeue", "--noheader", "--me"),
    Check.SCANCEL: ("scancel", "--version"),
    Check.SRUN: ("srun", "--version"),
    Check.SCONTROL: ("scontrol", "ping"),
    Check.ACCOUNTING: ("sacct", "--noheader", "--parsable2", "-X", "--format=JobID", "--starttime=now-1minutes"),
}
"""A harmless call of each command: those that would change something only print their version."""
_PARTITIONS = ("scontrol", "--oneliner", "show", "partition")
_COLUMNS = ("MaxTime", "DefaultTime", "State")


def slurm_facts(resources: Resources) -> Iterator[Fact]:
    """Yield the facts of the cluster, and of what the profile asks of it; only Check.SLURM if it cannot be used."""
    try:
        if not commands.has_slurm(ANSWER_S):
            yield Fact(Check.SLURM, "")
            return
    except SchedulerError as error:
        yield Fact(Check.SLURM, str(error))
        return
    for check, command in COMMANDS.items():
        yield run_probe(check, partial(_command, command))
    config = run_probe(Check.ARRAYS, lambda: commands.ask(parse.SHOW_CONFIG, ANSWER_S))
    yield from config_facts(str(config.value)) if config.error is None else (config,)
    yield run_probe(Check.SUBMIT_LIMIT, lambda: _submit_limit(resources))
    yield run_probe(Check.PARTITIONS, lambda: _partitions(resources))
    yield run_probe(Check.TIMES, lambda: "; ".join(time_problems(resources, time_limits(ANSWER_S))))


def _command(command: Sequence[str]) -> Command:
    path = shutil.which(command[0])
    if path is None:
        return Command("", problem=f"{command[0]} is not on PATH")
    began = time.monotonic()
    try:
        commands.ask(command, ANSWER_S)
    except SchedulerError as error:
        return Command(path, time.monotonic() - began, str(error))
    return Command(path, time.monotonic() - began)


def config_facts(text: str) -> Iterator[Fact]:
    """Yield the facts in the output of `scontrol show config`."""
    settings = dict(re.findall(r"^(\w+) *= *(.*?) *$", text, re.MULTILINE))
    yield run_probe(Check.ARRAYS, lambda: parse.parse_max_elements(text))
    if "JobRequeue" in settings:
        yield Fact(Check.JOB_REQUEUE, settings["JobRequeue"] != "0")
    if "PreemptMode" in settings:
        yield Fact(Check.PREEMPT_MODE, settings["PreemptMode"])


def _submit_limit(resources: Resources) -> int | None:
    return min(
        (limit.most for limit in limits.submit_limits(resources, lambda command: commands.ask(command, ANSWER_S))),
        default=None,
    )


def _partitions(resources: Resources) -> Partitions:
    rows = parse_partitions(commands.ask(_PARTITIONS, ANSWER_S))
    return Partitions(rows, resources.partition, resources.time_min)


def parse_partitions(text: str) -> tuple[Partition, ...]:
    """Return the partitions in the output of `scontrol --oneliner show partition`.

    >>> parse_partitions("PartitionName=main Default=YES MaxTime=7-00:00:00 DefaultTime=NONE State=UP")
    (Partition(name='main', is_default=True, max_time='7-00:00:00', default_time='NONE', state='UP'),)
    """
    rows = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in text.splitlines() if line.startswith("PartitionName=")]
    return tuple(
        Partition(row["PartitionName"], row.get("Default") == "YES", *(row.get(key, "?") for key in _COLUMNS))
        for row in rows
    )
