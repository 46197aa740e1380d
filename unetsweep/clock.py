"""The only place where the time comes from."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The time of this machine's clock, in UTC."""
    return datetime.now(UTC)


class SystemClock:
    """This machine's clock, as the reconciliation takes it."""

    def now(self) -> datetime:
        return utc_now()
