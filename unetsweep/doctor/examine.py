"""What doctor asks, in which order; each question by itself, so that one that fails is a row and no end."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unetsweep.doctor.rules import Fact
from unetsweep.errors import UnetsweepError

if TYPE_CHECKING:
    from unetsweep.core.spec import Resources

ANSWER_S = 15.0
"""How long a command of SLURM is waited for."""


def probed(name: str, probe: Callable[[], object]) -> Fact:
    """A fact, or why there is none: whatever a probe meets."""
    try:
        return Fact(name, probe())
    except UnetsweepError as error:
        return Fact(name, error=str(error))
    except Exception as error:
        return Fact(name, error=f"{type(error).__name__}: {error}")


@contextlib.contextmanager
def workspace(results: Path, token: str) -> Iterator[Path]:
    """A folder of our own in the folder of results, which is made where it is missing; both go again."""
    made = [folder for folder in (results, *results.parents) if not folder.exists()]
    results.mkdir(parents=True, exist_ok=True)
    folder = results / f".doctor-{token}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():  # a node still wrote into it
            shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            for each in made:
                each.rmdir()


def facts(
    results: Path, resources: "Resources", timeout: float, *, with_job: bool, tell: Callable[[str], None]
) -> Iterator[Fact]:
    """All of them, as they are found out. `timeout` is how long the test job is waited for, seconds."""
    on_slurm = yield from _slurm(resources)
    token = secrets.token_hex(6)
    try:
        with workspace(results, token) as folder:
            offset = yield from _disk(results, folder)
            if on_slurm and with_job:
                tell(f"a test job is sent, and waited for at most {timeout:g} s (--no-job leaves it out)")
                yield from _node(folder, token, resources, timeout, offset)
    except OSError as error:
        yield Fact("no_disk", f"{results}: {error.strerror or error}")
    yield from _here(local=not on_slurm)


def _slurm(resources: "Resources") -> Generator[Fact, None, bool]:
    """Facts of SLURM; returns whether there is one that answers."""
    from unetsweep.doctor import cluster
    from unetsweep.schedulers.slurm import commands

    if shutil.which("sbatch") is None:
        yield Fact("no_slurm", "there is no sbatch on PATH")
        return False
    if not commands.available(ANSWER_S):
        yield Fact("silent_slurm", f"sinfo has no answer within {ANSWER_S:g} s, or an error")
        return False
    found = {name: probed(name, _asking(name)) for name in cluster.COMMANDS}
    yield from found.values()
    if found["sacct"].error is None:
        yield Fact("accounting", found["sacct"].value)
    yield from _limits(resources)
    return True


def _asking(name: str) -> Callable[[], object]:
    from unetsweep.doctor import cluster

    return lambda: cluster.command(name, ANSWER_S)


def _limits(resources: "Resources") -> Iterator[Fact]:
    from unetsweep.doctor import cluster

    config = probed("max_elements", lambda: cluster.config(ANSWER_S))
    if config.error is not None:
        yield config
    else:
        names = ("max_elements", "MaxJobCount", "MinJobAge", "KillWait", "MessageTimeout", "JobRequeue", "PreemptMode",
                 "EnforcePartLimits")  # fmt: skip
        yield from (Fact(name, config.value[name]) for name in names if name in config.value)
        yield Fact("MaxBatchRequeue", config.value.get("MaxBatchRequeue"))
    yield probed("user_limits", lambda: cluster.limits(ANSWER_S))
    rows = probed("partitions", lambda: cluster.partitions(ANSWER_S))
    if rows.error is not None:
        yield rows
        return
    yield Fact("partitions", {"rows": rows.value, "wanted": resources.partition})
    most = _most_minutes(rows.value, resources.partition)
    if most is not None:
        yield Fact("profile_time", resources.time_min <= most)


def _most_minutes(rows: list[dict[str, str]], wanted: str | None) -> int | None:
    """The partition's MaxTime in minutes; None where it has none, or the partition is not known."""
    from unetsweep.config.units import minutes

    for row in rows:
        if row["PartitionName"] == wanted or (wanted is None and row.get("Default") == "YES"):
            return minutes(row.get("MaxTime", ""))
    return None


def _disk(results: Path, folder: Path) -> Generator[Fact, None, float | None]:
    """Facts of the folder of results; returns this machine's clock minus the file server's, in seconds."""
    from unetsweep.doctor import disk as disk

    probes: dict[str, Callable[[Path], object]] = {
        "kind": disk.kind,
        "hard_link": disk.hard_link,
        "rename_over": disk.rename_over,
        "exclusive": disk.exclusive,
        "full_folder": disk.full_folder_refuses,
        "fsync": disk.fsync_s,
        "mtime": disk.mtime_step_s,
        "space": disk.space,
        "quota": disk.quota,
        "private": disk.private,
    }
    yield Fact("disk", str(results.absolute()))
    for name, probe in probes.items():
        yield probed(name, lambda probe=probe: probe(folder))  # type: ignore[misc]
    yield Fact("percent", "%" not in str(results.absolute()))
    yield Fact("length", len(os.fsencode(results.absolute())))
    clock = probed("clock", lambda: disk.clock_offset(folder))
    yield clock
    return None if clock.error is not None else float(clock.value)


def _node(folder: Path, token: str, resources: "Resources", timeout: float, offset: float | None) -> Iterator[Fact]:
    from unetsweep.doctor import probe_job
    from unetsweep.doctor.node import node_facts

    place = folder / "job"
    place.mkdir(mode=0o700)
    told = probed("error", lambda: probe_job.run(place.absolute(), token, resources, timeout))
    if told.error is not None:
        yield told
        return
    yield from node_facts(told.value, resources, timeout, offset)
    if told.value["left"]:
        yield Fact("error", f"jobs of doctor's do not end: scancel {' '.join(told.value['left'])}")


def _here(*, local: bool) -> Iterator[Fact]:
    from unetsweep.doctor import payload
    from unetsweep.schedulers.local.local_jobs import devices

    def machine() -> dict[str, Any]:
        total = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal:"))
        memory = int(total.split()[1]) / (1 << 20)
        cores = len(os.sched_getaffinity(0))
        return {"cores": cores, "memory_gib": memory, "gpus": len(devices()), "local": local}

    yield probed("cores", machine)
    yield probed("network", lambda: payload.reachable("www.comet.com", 443))
    yield Fact("comet_key", bool(os.environ.get("COMET_API_KEY")))
