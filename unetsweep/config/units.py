"""Parse and format times and amounts of memory."""

import re

from unetsweep.limits import MAX_MINUTES

_N = r"[0-9]{1,9}"
_SHORT = re.compile(
    rf"(?:(?P<days>{_N})\s*d)?\s*(?:(?P<hours>{_N})\s*h)?\s*(?:(?P<minutes>{_N})\s*m(?:in)?)?", re.IGNORECASE
)
_CLOCK = re.compile(rf"(?:(?P<days>{_N})-)?(?P<hours>{_N}):(?P<minutes>[0-9][0-9]):(?P<seconds>[0-9][0-9])")
_DAYS = re.compile(rf"(?P<days>{_N})-(?P<hours>{_N})(?::(?P<minutes>[0-9][0-9]))?")
_SLURM = re.compile(rf"(?:({_N})-({_N})(?::({_N}))?(?::{_N})?|(?:({_N}):)?({_N}):{_N}|({_N}))")
_MINUTES = re.compile(rf"(?P<minutes>{_N})")
_MEMORY = re.compile(rf"({_N})([KMGT]?)", re.IGNORECASE | re.ASCII)

TIMES = "10m, 2h, 1h30m, 02:00:00, 1-12:00:00 or minutes as a number, at most 366 days"
AMOUNTS = "4G, 500M or megabytes as a number"
MEMORIES = f"{AMOUNTS}, or 0 for all memory of the node"
WHOLE_NODE = "0"
"""All memory of the node, as sbatch reads it."""


def minutes(written: object) -> int | None:
    """Return the minutes of a time limit, rounded up; None if it is not a time, not above 0, or too long.

    `10:30` is refused: sbatch reads it as minutes and seconds, people read it as hours and minutes.

    >>> [minutes(t) for t in ("10m", "1h30m", "1-12:00:00", "02:00:01", 90, "90", "10:30", "0m", "367d")]
    [10, 90, 2160, 121, 90, 90, None, None, None]
    """
    text = str(written).strip() if isinstance(written, str | int) else ""
    forms = (_MINUTES, _CLOCK, _DAYS, _SHORT)
    match = next((m for form in forms if (m := form.fullmatch(text))), None) if text else None
    if match is None:
        return None
    part = {name: int(value or 0) for name, value in match.groupdict().items()}
    whole = part.get("days", 0) * 1440 + part.get("hours", 0) * 60 + part.get("minutes", 0)
    whole += 1 if part.get("seconds") else 0
    return whole if 0 < whole <= MAX_MINUTES else None


def slurm_minutes(text: str) -> int | None:
    """Return the whole minutes of a time limit in SLURM's notation; None if it is unlimited or no time.

    >>> [slurm_minutes(text) for text in ("5:00", "30", "1-12", "1-00:00:00", "1:00:00", "1:30", "infinite")]
    [5, 30, 2160, 1440, 60, 1, None]
    """
    found = _SLURM.fullmatch(text.strip())
    if found is None:
        return None
    days, day_hours, day_minutes, hours, minutes, alone = (int(part or 0) for part in found.groups())
    return days * 1440 + (day_hours + hours) * 60 + day_minutes + minutes + alone


def time_text(whole: int) -> str:
    """Return minutes as they are written in YAML.

    >>> time_text(90), time_text(120), time_text(10), time_text(2160)
    ('1h30m', '2h', '10m', '36h')
    """
    hours, rest = divmod(whole, 60)
    return (f"{hours}h" if hours else "") + (f"{rest}m" if rest or not hours else "")


def memory(written: object) -> str | None:
    """Return an amount of memory as sbatch reads it; None if it is not one. Without a unit it is in megabytes.

    >>> [memory(written) for written in ("4g", "500M", 4000, "4000", 0, "4 GB", 1.5)]
    ['4G', '500M', '4000M', '4000M', '0', None, None]
    """
    match = _MEMORY.fullmatch(str(written)) if isinstance(written, str | int) else None
    if match is None:
        return None
    number, unit = int(match.group(1)), match.group(2).upper()
    return f"{number}{unit or 'M'}" if number else WHOLE_NODE


def memory_kb(normal: str) -> int:
    """Return the KiB of an amount of memory that `memory` returned, except WHOLE_NODE.

    >>> memory_kb("1G") == memory_kb("1024M")
    True
    """
    return int(normal[:-1]) << 10 * "KMGT".index(normal[-1])
