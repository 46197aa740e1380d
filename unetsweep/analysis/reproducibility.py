"""Compares two results of one config, and what may have caused a difference.

Rule 1: equal means equal to the last bit: the weights, every score, every image.
"""

from collections.abc import Mapping
from typing import Any

from unetsweep.contract import Result

NUMBERS = (
    *("weights_sha256", "best_epoch", "val_iou", "val_loss", "test_iou", "test_loss"),
    *("val_scores", "test_scores", "also_scored", "val_per_image", "test_per_image"),
)
"""Fields of a result that are equal to the last bit when the same training is repeated."""
SURROUNDINGS = ("versions", "hardware", "precision", "threads", "code", "micro_batch")
"""Fields that the bits may depend on, apart from the config."""


def unequal(before: Result, now: Result) -> list[str]:
    """A line for each number that differs. Fields that `before` does not have are not compared."""
    found = []
    for name in NUMBERS:
        first, second = getattr(before, name), getattr(now, name)
        if first in (None, (), {}) or _is_same(first, second):
            continue
        found.append(f"{name}: {_describe_difference(first, second)}")
    return found


def compared_fields(before: Result) -> list[str]:
    """The names of the numbers that `before` has, which `unequal` compares."""
    return [name for name in NUMBERS if getattr(before, name) not in (None, (), {})]


def surroundings(before: Result, now: Result) -> list[str]:
    """A line for each possible cause of a difference that changed: `threads: 1 then, 2 now`."""
    found = []
    for name in SURROUNDINGS:
        first, second = getattr(before, name), getattr(now, name)
        if name == "code":
            found += _code_change(first, second)
        elif isinstance(first, Mapping):
            keys = dict.fromkeys([*first, *second]) if first else {}
            found += [f"{name}, {key}: {_then_and_now(first.get(key, _ABSENT), second.get(key, _ABSENT))}"
                      for key in keys if first.get(key) != second.get(key)]  # fmt: skip
        elif first is not None and first != second:
            found.append(f"{name}: {_then_and_now(first, second)}")
    if before.data_manifest and before.data_manifest.get("sha256") != now.data_manifest.get("sha256"):
        found.append("data: the decoded pixels differ (the files changed, or the decoder did)")
    return found


def _code_change(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Only the digest of the package is compared: a checkout and a copy of it are the same code."""
    if not before or before.get("package") == now.get("package"):
        return []
    changed = ", with uncommitted changes" if "diff" in before else ""
    commit = f" (commit {before['commit'][:12]}{changed})" if "commit" in before else ""
    return [f"code: package {before.get('package')}{commit} then, {now.get('package')} now"]


def _is_same(before: Any, now: Any) -> bool:
    if isinstance(before, tuple | list):
        return list(before) == list(now)
    return bool(before == now)


_ABSENT = object()


def _describe_difference(before: Any, now: Any) -> str:
    if isinstance(before, tuple | list):
        pairs = zip(before, now, strict=False)
        count = sum(a != b for a, b in pairs) + abs(len(before) - len(now))
        return f"{count} of {len(before)} images differ"
    if isinstance(before, Mapping):
        key = next(key for key in [*before, *now] if before.get(key, _ABSENT) != now.get(key, _ABSENT))
        return f"{key} {_then_and_now(before.get(key, _ABSENT), now.get(key, _ABSENT))}"
    return _then_and_now(before, now)


def _then_and_now(before: Any, now: Any) -> str:
    first, second = ("unknown" if value is _ABSENT else "none" if value is None else value for value in (before, now))
    return f"{first} then, {second} now"
