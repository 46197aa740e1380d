"""What two results of one config have in common, and what may have told them apart.

Rule 1: equal means equal to the last bit: the weights, every score, every image.
"""

from collections.abc import Mapping
from typing import Any

from unetsweep.contract import Result

NUMBERS = (
    *("weights", "best_epoch", "val_iou", "val_loss", "test_iou", "test_loss"),
    *("val_scores", "test_scores", "also_scored", "val_per_image", "test_per_image"),
)
"""Fields that the same training leaves with the same bits."""
SURROUNDINGS = ("versions", "hardware", "threads", "code", "micro_batch")
"""Fields that tell what bits may depend on beside the config."""


def unequal(then: Result, now: Result) -> list[str]:
    """A line for each number that differs; what the older result does not have is not compared."""
    found = []
    for name in NUMBERS:
        was, is_now = getattr(then, name), getattr(now, name)
        if was in (None, (), {}) or _same(was, is_now):
            continue
        found.append(f"{name}: {_told(was, is_now)}")
    return found


def compared(then: Result) -> list[str]:
    """The names of the numbers that the older result has."""
    return [name for name in NUMBERS if getattr(then, name) not in (None, (), {})]


def surroundings(then: Result, now: Result) -> list[str]:
    """A line for each thing beside the config that differs: `threads: 1 then, 2 now`."""
    found = []
    for name in SURROUNDINGS:
        was, is_now = getattr(then, name), getattr(now, name)
        if name == "code":
            found += _other_code(was, is_now)
        elif isinstance(was, Mapping):
            keys = dict.fromkeys([*was, *is_now]) if was else {}
            found += [f"{name}, {key}: {_then(was.get(key), is_now.get(key))}" for key in keys
                      if was.get(key) != is_now.get(key)]  # fmt: skip
        elif was is not None and was != is_now:
            found.append(f"{name}: {_then(was, is_now)}")
    if then.data_manifest and then.data_manifest.get("sha256") != now.data_manifest.get("sha256"):
        found.append("data: the pixels that were read differ (the files, or how they are decoded)")
    return found


def _other_code(was: Mapping[str, str], is_now: Mapping[str, str]) -> list[str]:
    """The same package may come from a checkout or from its copy, so its digest alone counts."""
    if not was or was.get("package") == is_now.get("package"):
        return []
    commit = f" (commit {was['commit'][:12]}{', with changes' if 'diff' in was else ''})" if "commit" in was else ""
    return [f"code: package {was.get('package')}{commit} then, {is_now.get('package')} now"]


def _same(was: Any, is_now: Any) -> bool:
    if isinstance(was, tuple | list):
        return list(was) == list(is_now)
    return bool(was == is_now)


_ABSENT = object()


def _told(was: Any, is_now: Any) -> str:
    if isinstance(was, tuple | list):
        pairs = zip(was, is_now, strict=False)
        count = sum(a != b for a, b in pairs) + abs(len(was) - len(is_now))
        return f"{count} of {len(was)} images differ"
    if isinstance(was, Mapping):
        other = next(key for key in [*was, *is_now] if was.get(key, _ABSENT) != is_now.get(key, _ABSENT))
        return f"{other} {_then(was.get(other), is_now.get(other))}"
    return _then(was, is_now)


def _then(was: Any, is_now: Any) -> str:
    return f"{'unknown' if was is None else was} then, {'unknown' if is_now is None else is_now} now"
