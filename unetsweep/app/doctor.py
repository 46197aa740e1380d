"""Examine this machine, its cluster, a compute node and the results folder."""

import contextlib
import os
import secrets
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from unetsweep.config.profiles import Folders, resources_from
from unetsweep.core.spec import Resources
from unetsweep.doctor.advice import advise
from unetsweep.doctor.disk import disk_facts, workspace
from unetsweep.doctor.facts import Machine
from unetsweep.doctor.node import node_facts
from unetsweep.doctor.payload import reachable
from unetsweep.doctor.probe_job import run
from unetsweep.doctor.rules import Check, CheckVerdict, Fact, Row, judge, run_probe
from unetsweep.doctor.slurm import slurm_facts
from unetsweep.errors import Problem, SchedulerError, SpecError
from unetsweep.schedulers.local.machine import devices, memory


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What all rows together mean for a sweep."""

    is_broken: bool
    """Whether something that every sweep needs does not work."""
    advice: list[str]


def examine(
    results: Path, profile: str | None, job_timeout: float | None, *, notify: Callable[[str], None]
) -> Generator[Row, None, Conclusion]:
    """Yield a row for each check as it is done, and return what they mean.

    `job_timeout` is how many seconds to wait for the test job; None: submit none. All that the checks make is cancelled
    and removed when the generator ends, fails or is closed. SpecError: the profile cannot be used.
    """
    facts = []
    is_broken = False
    resources = _resources(profile)
    with contextlib.closing(_facts(results, resources, job_timeout, notify)) as probes:
        for fact in probes:
            row = judge(fact)
            facts.append(fact)
            is_broken |= row.verdict is CheckVerdict.BROKEN
            yield row
    return Conclusion(is_broken, advise(facts, resources.profile))


def _resources(profile: str | None) -> Resources:
    problems: list[Problem] = []
    resources = resources_from({}, Folders(Path.cwd(), Path.home()), problems, profile)
    if problems:
        raise SpecError("--profile", [Problem(problem.message) for problem in problems])
    return resources


def _facts(
    results: Path, resources: Resources, job_timeout: float | None, notify: Callable[[str], None]
) -> Generator[Fact, None, None]:
    has_slurm, clock_offset = True, None
    for fact in slurm_facts(resources):
        has_slurm &= fact.check is not Check.SLURM
        yield fact
    token = secrets.token_hex(6)
    try:
        with workspace(results, token) as folder:
            for fact in disk_facts(results, folder):
                if fact.check is Check.CLOCK and isinstance(fact.value, float):
                    clock_offset = fact.value
                yield fact
            if has_slurm and job_timeout is not None:
                notify(f"submitting a test job and waiting up to {job_timeout:g} s for it (--no-job skips it)")
                yield from _node_facts(folder.absolute() / "job", token, resources, job_timeout, clock_offset)
    except OSError as error:
        yield Fact(Check.FOLDER_ERROR, f"{results}: {error.strerror or error}")
    yield run_probe(Check.MACHINE, _machine)
    yield run_probe(Check.NETWORK, lambda: reachable("www.comet.com", 443))
    yield Fact(Check.COMET_KEY, bool(os.environ.get("COMET_API_KEY")))


def _node_facts(
    folder: Path, token: str, resources: Resources, timeout: float, clock_offset: float | None
) -> Iterator[Fact]:
    folder.mkdir(mode=0o700)
    try:
        report = run(folder, token, resources, timeout)
    except SchedulerError as error:
        yield Fact(Check.JOB, error=str(error))
    else:
        yield from node_facts(report, resources, timeout, clock_offset)


def _machine() -> Machine:
    return Machine(len(os.sched_getaffinity(0)), memory() / (1 << 30), len(devices()))
