"""Lines of a sweep's ledger as texts for people.

Rule 1: the ledger is for people, and anything may be in it. A line that is not understood is left out.
"""

from collections.abc import Callable, Mapping
from typing import Any

from unetsweep.texts import counted

Fields = Mapping[str, Any]


def event_text(fields: Fields) -> str | None:
    """Return what a line says; None: nothing that a user needs to know.

    >>> event_text({"action": "FinishTrial", "trial": 3, "state": "complete", "reason": "its result is there"})
    'trial 3 complete'
    >>> event_text({"action": "MarkLost", "run": 2, "attempt": 1, "reason": "node failure"})
    'run 2 lost its attempt 1: node failure'
    >>> event_text({"action": "RecordJob"}), event_text({"action": ["?"]})
    (None, None)
    """
    action = fields.get("action")
    if not isinstance(action, str):
        return None
    if isinstance(trouble := fields.get("trouble"), str):
        return f"{action} was refused: {trouble}"
    found = _TEXTS.get(action)
    return None if found is None else found(fields)


def _finished(fields: Fields) -> str:
    text = f"trial {fields.get('trial')} {fields.get('state')}"
    return text if fields.get("state") == "complete" else f"{text}{_why(fields)}"


def _why(fields: Fields) -> str:
    reason = fields.get("reason")
    return f": {reason}" if isinstance(reason, str) and reason else ""


def _number(fields: Fields, name: str) -> int:
    value = fields.get(name)
    return value if type(value) is int else 0


def _length(fields: Fields, name: str) -> int:
    value = fields.get(name)
    return len(value) if isinstance(value, list) else 0


_TEXTS: Mapping[str, Callable[[Fields], str]] = {
    "FinishTrial": _finished,
    "Submit": lambda fields: f"submitted {counted(_number(fields, 'runs'), 'run')}",
    "Propose": lambda fields: f"proposed {counted(_number(fields, 'count'), 'trial')}",
    "MarkLost": lambda fields: f"run {fields.get('run')} lost its attempt {fields.get('attempt')}{_why(fields)}",
    "Prune": lambda fields: f"trial {fields.get('trial')} is to end early{_why(fields)}",
    "Terminate": lambda fields: f"job {fields.get('job_id')} of run {fields.get('run')} terminated{_why(fields)}",
    "Cancel": lambda fields: f"cancelled {counted(_length(fields, 'job_ids'), 'job')}{_why(fields)}",
    "SubmitReconciler": lambda fields: f"submitted reconciler job {fields.get('reconciler')}",
    "CollectCheckpoints": lambda fields: f"deleted last checkpoints of {counted(_length(fields, 'runs'), 'run')}",
}
"""By the name of the action. `RecordJob` and `SetThrottle` are left out: they say nothing about a trial."""
