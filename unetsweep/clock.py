"""The only source of the current time."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The current time in UTC, by this machine's clock."""
    return datetime.now(UTC)


class SystemClock:
    """This machine's clock, in the form that a reconciliation takes."""

    def now(self) -> datetime:
        return utc_now()
