"""The facts in a test job's report. A question without an answer gives no fact."""

import platform
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from unetsweep.core.observation import JobState
from unetsweep.core.reasons import describe_reason
from unetsweep.core.spec import Resources
from unetsweep.doctor.probe_job import JobReport
from unetsweep.doctor.rules import Check, Fact

TEMPORARY = ("MaxSubmit", "no answer", "timed out", "temporarily")
"""Parts of an sbatch error that leave open whether nodes may submit."""
_TYPES: Mapping[Check, type[Any]] = {Check.NODE_CLOCK: float, Check.GPUS: int}
"""Types of the answers that are not strings."""
_OF_PYTHON = {Check.PYTHON_VERSION, Check.MODULES, Check.GPUS, Check.GPU_STEP}
"""Answers that count only if the profile's Python gave them."""


def node_facts(report: JobReport, resources: Resources, timeout: float, clock_offset: float | None) -> Iterator[Fact]:
    """Yield what the report says. `clock_offset`: how many seconds this machine is ahead of the file server."""
    yield _job(report, timeout)
    if report.python_error is not None:
        python = resources.python or sys.executable
        yield Fact(Check.PYTHON, f"{python}: {report.python_error or 'cannot be run'}")
    elif report.answers:
        yield Fact(Check.PYTHON, "")
    skipped = {Check.REQUEUE} | (set() if resources.gpus else {Check.GPUS, Check.GPU_STEP})
    skipped |= set() if report.python_error is None else _OF_PYTHON
    for name, answer in report.answers.items():
        if Check[name] not in skipped:
            yield from _answer(Check[name], answer, clock_offset)
    if report.starts:
        yield _requeue(report)
    if report.marker_age_s is not None and clock_offset is not None:
        yield Fact(Check.FILE_DELAY, max(0.0, report.marker_age_s - clock_offset))
    if report.leftovers:
        yield Fact(Check.LEFTOVERS, " ".join(report.leftovers))


def _job(report: JobReport, timeout: float) -> Fact:
    job = report.job
    if report.refused or report.starts:
        return Fact(Check.JOB, report.refused)
    if job is not None and job.state is JobState.QUEUED:
        reason = describe_reason(job.reason) if job.reason else job.raw_state
        return Fact(Check.JOB, error=f"no start within {timeout:g} s (--timeout): {reason}")
    state = job.raw_state if job else "squeue does not list it"
    return Fact(
        Check.JOB, f"left no file here ({state}): nodes do not see this folder at this path, or cannot write to it"
    )


def _answer(check: Check, answer: Any, clock_offset: float | None) -> Iterator[Fact]:
    if not isinstance(answer, _TYPES.get(check, str)):
        yield Fact(check, error=str(answer.get("error", answer) if isinstance(answer, dict) else answer))
    elif check is Check.NODE_SBATCH and any(part in answer for part in TEMPORARY):
        yield Fact(check, error=f"failed, but not because the call came from a node: {answer}")
    elif check is Check.PYTHON_VERSION:
        yield Fact(check, (answer, platform.python_version()))
    elif check is not Check.NODE_CLOCK:
        yield Fact(check, answer)
    elif clock_offset is not None:  # this machine's offset; `answer` is the node's, both from the file server
        yield Fact(check, answer - clock_offset)


def _requeue(report: JobReport) -> Fact:
    problem = report.answers.get("REQUEUE", "")
    if report.starts > 1:
        return Fact(Check.REQUEUE, "")
    if isinstance(problem, str) and problem:
        return Fact(Check.REQUEUE, problem)
    return Fact(Check.REQUEUE, error="the job did not start again in time: try a longer --timeout")
