"""What a sweep should say on this machine, from the facts that doctor found. Pure: facts in, lines out."""

from collections.abc import Iterable, Mapping
from typing import Any

from unetsweep.doctor.node_rules import may_sbatch, said_by
from unetsweep.doctor.rules import Fact

Known = Mapping[str, Any]
"""Values of the facts that were found out."""


def advice(facts: Iterable[Fact], profile: str) -> list[str]:
    """Lines for a person: words, and what to write into a sweep's file or a profile."""
    known = {fact.name: fact.value for fact in facts if fact.error is None}
    if "no_slurm" in known:
        return [*_local(known), *_comet(known)]
    if "silent_slurm" in known:
        return ["SLURM does not answer now: nothing can be said of it; run doctor again"]
    return ["sweeps run as SLURM jobs (--executor slurm; auto finds it)", *_driver(known), *_profile(known, profile),
            *_comet(known)]  # fmt: skip


def _local(known: Known) -> list[str]:
    machine = known.get("cores") or {}
    cores, gpus = machine.get("cores", 1), machine.get("gpus", 0)
    places = gpus or max(1, cores // 2)
    device = "slurm: {gpus: 1}" if gpus else "slurm: {gpus: 0}"
    return [
        "sweeps run as local processes here (--executor local; auto finds it); they go on with the terminal closed",
        f"in the sweep:    run: {{parallel: {places}}}    {device}",
    ]


def _driver(known: Known) -> list[str]:
    found = known.get("node_sbatch")
    may = None if found is None else may_sbatch(found)
    if found is None or may is None:
        return ["in the sweep:    nothing about `run: {driver: …}` yet: it is not known whether a node may sbatch"]
    if may:
        return ["in the sweep:    run: {driver: jobs}    (the default) jobs bring the sweep on themselves"]
    return [
        f"in the sweep:    run: {{driver: cli}}    a node may not sbatch: {said_by(found)}",
        "                 keep `unetsweep submit … --watch` open here, or call `unetsweep submit` from cron",
    ]


def _profile(known: Known, profile: str) -> list[str]:
    table = known.get("partitions") or {"rows": [], "wanted": None}
    lines = []
    rows = table["rows"]
    names = [row["PartitionName"] for row in rows]
    if table["wanted"] is None and not any(row.get("Default") == "YES" for row in rows) and names:
        lines.append(f"partition: {names[0]}    # one of {', '.join(names)}")
    if table["wanted"] is not None and "," not in table["wanted"] and table["wanted"] not in names and names:
        lines.append(f"partition: {names[0]}    # {table['wanted']} is not there; one of {', '.join(names)}")
    if known.get("profile_time") is False:
        lines.append("time: …    # no more than the partition's MaxTime")
    if "missing" in (known.get("python") or {}):
        lines.append("python: …    # a path that the nodes have, with unetsweep installed")
    return [f"in the profile {profile}: {line}" for line in lines] or [f"in the profile {profile}: nothing to change"]


def _comet(known: Known) -> list[str]:
    node, here = known.get("node_network"), known.get("network")
    if node == "" or (node is None and "no_slurm" in known and here == ""):
        return ["Comet:           trainer: {comet: online} can upload from the jobs; offline and `sync` always works"]
    if here == "":
        return ["Comet:           trainer: {comet: offline}, then `unetsweep sync SWEEP` here"]
    return ["Comet:           trainer: {comet: offline}, then `unetsweep sync SWEEP` from a machine with a network"]
