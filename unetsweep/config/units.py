"""Parse and format times and amounts of memory."""

import re

_SHORT = re.compile(
    r"(?:(?P<days>\d+)\s*d)?\s*(?:(?P<hours>\d+)\s*h)?\s*(?:(?P<minutes>\d+)\s*m(?:in)?)?", re.IGNORECASE
)
_CLOCK = re.compile(r"(?:(?P<days>\d+)-)?(?P<hours>\d+):(?P<minutes>\d\d):(?P<seconds>\d\d)")
_DAYS = re.compile(r"(?P<days>\d+)-(?P<hours>\d+)(?::(?P<minutes>\d\d))?")
_MEMORY = re.compile(r"([1-9]\d*)([KMGT])", re.IGNORECASE)

TIMES = "10m, 2h, 1h30m, 02:00:00, 1-12:00:00 or minutes as a number"
MEMORIES = "4G or 500M"


def minutes(written: str | int) -> int | None:
    """Return the minutes of a time limit, rounded up; None if it is not a time, or not above 0.

    `10:30` is refused: sbatch reads it as minutes and seconds, people read it as hours and minutes.

    >>> [minutes(t) for t in ("10m", "1h30m", "1-12:00:00", "02:00:01", 90, "10:30", "0m")]
    [10, 90, 2160, 121, 90, None, None]
    """
    if isinstance(written, int):
        return written if written > 0 else None
    text = written.strip()
    match = next((m for rx in (_CLOCK, _DAYS, _SHORT) if (m := rx.fullmatch(text))), None) if text else None
    if match is None:
        return None
    part = {name: int(value or 0) for name, value in match.groupdict().items()}
    whole = part["days"] * 1440 + part.get("hours", 0) * 60 + part.get("minutes", 0)
    return (whole + (1 if part.get("seconds") else 0)) or None


def slurm_minutes(text: str) -> int | None:
    """Return the whole minutes of a time limit in SLURM's notation; None if it is unlimited or no time.

    >>> [slurm_minutes(text) for text in ("5:00", "30", "1-12", "1-00:00:00", "1:00:00", "1:30", "infinite")]
    [5, 30, 2160, 1440, 60, 1, None]
    """
    found = re.fullmatch(r"(?:(\d+)-(\d+)(?::(\d+))?(?::\d+)?|(?:(\d+):)?(\d+):\d+|(\d+))", text.strip())
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


def memory(written: str) -> str | None:
    """Return an amount of memory as sbatch reads it; None if it is not one.

    >>> memory("4g"), memory("500M"), memory("4"), memory("4 GB")
    ('4G', '500M', None, None)
    """
    match = _MEMORY.fullmatch(written)
    return match.group(1) + match.group(2).upper() if match else None


def memory_kb(normal: str) -> int:
    """Return the KiB of an amount of memory that `memory` returned.

    >>> memory_kb("1G") == memory_kb("1024M")
    True
    """
    return int(normal[:-1]) << 10 * "KMGT".index(normal[-1])
