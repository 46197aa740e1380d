"""Check that the study's journal can be read; it is an export of the trials, so it can always be made anew."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unetsweep.core.spec import SweepSpec
from unetsweep.search.journal import load, make_anew
from unetsweep.store.repairs import Finding, is_corrupt


def findings(path: Path, spec: SweepSpec, trials: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Return what is wrong with the journal; nothing where there is none."""
    problem = _find_problem(path, spec.name) if path.exists() else None
    if problem is None:
        return []
    return [Finding(path, problem, "made anew from the trials", lambda: make_anew(path, spec, trials))]


def _find_problem(path: Path, name: str) -> str | None:
    content = path.read_bytes()
    corrupt = sum(is_corrupt(line) for line in content.splitlines())
    if corrupt or not content.endswith(b"\n"):
        return f"{corrupt} corrupt lines" if corrupt else "its last line has no end"
    try:
        load(path, name)
    except Exception as error:  # whatever Optuna makes of its bytes
        return f"Optuna cannot read it ({type(error).__name__}: {error})"
    return None
