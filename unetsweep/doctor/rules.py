"""What a page of doctor says: facts in, rows and advice out. Rules only; nothing is asked here.

Rule 1: `broken` is what no sweep can do without; what makes one slower or needs another setting is `limited`.
Rule 2: what could not be found out is `unknown`, with why; it is never taken for good or bad.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Verdict(Enum):
    OK = "ok"
    LIMITED = "limited"
    BROKEN = "broken"
    UNKNOWN = "unknown"


OK, LIMITED, BROKEN, UNKNOWN = Verdict


@dataclass(frozen=True, slots=True)
class Fact:
    """What one probe found out."""

    name: str
    """A key of the rules."""
    value: Any = None
    """Of a form that the rule knows."""
    error: str | None = None
    """Why nothing was found out; None: something was."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the page."""

    section: str
    name: str
    finding: str
    verdict: Verdict
    meaning: str
    """For a sweep, and what to do; empty where there is nothing to say."""


Said = tuple[str, Verdict, str]
"""Finding, verdict, meaning."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How one fact is read."""

    section: str
    title: str
    read: Callable[[Any], Said]


def judge(facts: Iterable[Fact], rules: Mapping[str, Rule]) -> list[Row]:
    """A row for each fact, in their order; a fact that its rule cannot read is unknown."""
    return [_row(fact, rules[fact.name]) for fact in facts]


def _row(fact: Fact, rule: Rule) -> Row:
    if fact.error is not None:
        return Row(rule.section, rule.title, fact.error, UNKNOWN, "could not be found out")
    try:
        finding, verdict, meaning = rule.read(fact.value)
    except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        return Row(rule.section, rule.title, f"{fact.value!r} ({error})"[:200], UNKNOWN, "not understood")
    return Row(rule.section, rule.title, str(finding), verdict, meaning)


def yes(good: str, bad: str, meaning: str, verdict: Verdict = BROKEN) -> Callable[[Any], Said]:
    """Of a fact that is true or false: what it means where it is false.

    >>> yes("works", "does not work", "choose another folder")(False)[0]
    'does not work'
    """
    return lambda value: (good, OK, "") if value else (bad, verdict, meaning)


def spoken_s(seconds: float) -> str:
    """
    >>> spoken_s(0.0312), spoken_s(75.2)
    ('0.03 s', '75 s')
    """
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"


def number_of(text: str) -> int | None:
    """The number at the head of a setting's value.

    >>> number_of("30 sec"), number_of("(null)")
    (30, None)
    """
    head = text.split()[0] if text.split() else ""
    return int(head) if head.isdigit() else None
