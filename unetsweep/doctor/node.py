"""What a test job told, as facts: times put right by the clocks, and nothing where nothing was told."""

import platform
from collections.abc import Iterator, Mapping
from typing import Any

from unetsweep.core.spec import Resources
from unetsweep.doctor.rules import Fact

_SAME = {
    "squeue": "node_squeue",
    "scontrol": "node_scontrol",
    "test_only": "node_test_only",
    "sbatch": "node_sbatch",
    "network": "node_network",
}


def node_facts(
    told: Mapping[str, Any], resources: Resources, timeout: float, login_offset: float | None
) -> Iterator[Fact]:
    """`told` is what `doctor_job.run` returned; `login_offset`: this machine's clock minus the server's, in seconds."""
    answers = told.get("asked") or told.get("answers") or {}
    between = _between(answers, login_offset)
    yield Fact("job", {**told, "start_s": _start_s(told, between), "timeout": timeout})
    if "start-0" not in told:
        return
    if "no-python" in told:
        yield Fact("python", {"wanted": resources.python or "the submitting python", "missing": told["no-python"]})
    elif "python" in answers:
        yield Fact("python", {**answers, "here": platform.python_version()})
    if "no-python" not in told and "imports" in answers:
        yield _fact("imports", answers["imports"])
        if resources.gpus and "gpus" in answers["imports"]:
            yield Fact("gpus", answers["imports"]["gpus"])
    yield from (_fact(name, answers[key]) for key, name in _SAME.items() if key in answers)
    yield from _job_facts(told, answers)
    yield from _times(told, between)


def _fact(name: str, value: Any) -> Fact:
    failed = isinstance(value, Mapping) and set(value) == {"error"}
    return Fact(name, error=value["error"]) if failed else Fact(name, value)


def _job_facts(told: Mapping[str, Any], answers: Mapping[str, Any]) -> Iterator[Fact]:
    if "end_time" in answers:
        yield Fact("end_time", bool(answers["end_time"]))
    if "no-srun" in told:
        yield Fact("usr2", error=f"srun failed there: {told['no-srun'] or 'no words'}")
    elif told.get("signalled"):
        yield Fact("usr2", error=told["signalled"])
    elif "signalled" in told:
        yield Fact("usr2", "usr2" in told)
    if "start-1" in told or "requeue" in told or "step" in told:
        yield Fact("requeue", {"started": "start-1" in told, "said": told.get("requeue")})


def _times(told: Mapping[str, Any], between: float | None) -> Iterator[Fact]:
    shown, marker = told["seen"].get("marker.json"), told.get("marker")
    if shown is not None and marker is not None:
        yield Fact("delay", max(0.0, shown - (marker["at"] - (between or 0.0))))
    if between is not None:
        yield Fact("node_clock", between)


def _between(answers: Mapping[str, Any], login_offset: float | None) -> float | None:
    """The node's clock minus this machine's, both measured by the file server's."""
    if login_offset is None or not isinstance(answers.get("node_mtime"), float):
        return None
    return float(answers["node_time"]) - float(answers["node_mtime"]) - login_offset


def _start_s(told: Mapping[str, Any], between: float | None) -> float | None:
    if "start-0" not in told:
        return None
    submitted = float(told["submitted"])
    return max(0.0, float(told["start-0"] or submitted) - (between or 0.0) - submitted)
