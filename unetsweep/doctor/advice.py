"""What to write into a sweep and a profile on this machine. Pure: facts in, lines out."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from unetsweep.doctor.rules import Check, Fact

Known = Mapping[Check, Any]
"""The values of the facts that were found out."""


def advise(facts: Iterable[Fact], profile: str) -> list[str]:
    """Return lines for a person: the settings of a sweep and of this profile that fit the facts."""
    known: Known = {fact.check: fact.value for fact in facts if fact.error is None}
    if known.get(Check.SLURM):
        return ["SLURM does not answer now, so nothing is known about it: run doctor again"]
    if Check.SLURM in known:
        return [*_local(known), _comet(known, Check.NETWORK)]
    return [
        "sweeps run as SLURM jobs (`--executor auto` chooses that)",
        *_driver(known.get(Check.NODE_SBATCH)),
        *(f"in the profile {profile}: {line}" for line in list(_profile(known)) or ["nothing to change"]),
        _comet(known, Check.NODE_NETWORK),
    ]


def _local(known: Known) -> list[str]:
    machine = known.get(Check.MACHINE)
    cores, gpus = (machine.cores, machine.gpus) if machine else (1, 0)
    return [
        "sweeps run as local processes (`--executor auto` chooses that); they continue when you close the terminal",
        f"in the sweep:    run: {{parallel: {local_parallel(cores, gpus)}}}    slurm: {{gpus: {min(gpus, 1)}}}",
    ]


def local_parallel(cores: int, gpus: int) -> int:
    """Return how many trainings a machine without SLURM should run at once."""
    return gpus or max(1, cores // 2)


def _driver(problem: str | None) -> list[str]:
    """Return lines about `run.driver`. `problem`: sbatch's on a node; empty: it works; None: that is not known."""
    if problem is None:
        return ["in the sweep:    leave `run.driver` as it is: it is not known whether nodes may call sbatch"]
    if not problem:
        return [
            "in the sweep:    run: {driver: jobs}    (the default) jobs continue the sweep while you are logged out"
        ]
    return [
        f"in the sweep:    run: {{driver: cli}}    nodes may not call sbatch: {problem}",
        "                 keep `unetsweep submit … --watch` running here, or call `unetsweep submit` from cron",
    ]


def _profile(known: Known) -> Iterator[str]:
    partitions = known.get(Check.PARTITIONS)
    if partitions and partitions.rows and not partitions.chosen() and "," not in (partitions.wanted or ""):
        names = [row.name for row in partitions.rows]
        yield f"partition: {names[0]}    # one of {', '.join(names)}"
    if partitions and partitions.are_too_short():
        yield f"time: …    # at most {partitions.chosen().max_time}"
    if known.get(Check.PYTHON):
        yield "python: …    # an interpreter that the nodes have, with unetsweep installed"


def _comet(known: Known, from_jobs: Check) -> str:
    if known.get(from_jobs) == "":
        return "Comet:           trainer: {comet: online} works in jobs; {comet: offline} and `sync` always work"
    where = "here" if known.get(Check.NETWORK) == "" else "on a machine with a network"
    return f"Comet:           trainer: {{comet: offline}}, then `unetsweep sync SWEEP` {where}"
