"""Times as they stand in a status, and how long ago they were, on a clock that may jump. Pure."""

from datetime import UTC, datetime
from typing import Final

NEVER_MS: Final = 0


def written(now_ms: int) -> str:
    """RFC 3339 in UTC, to the second, as Kubernetes writes it."""
    return datetime.fromtimestamp(now_ms // 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read(text: str | None) -> int | None:
    """Milliseconds since 1970; None for what is no time, as it may stand in a status that a person has edited."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000)
    except (ValueError, OverflowError):
        return None


def elapsed_s(since: str | None, now_ms: int) -> float:
    """Never negative; a moment that cannot be read was long ago."""
    moment = read(since)
    return float("inf") if moment is None else max(0.0, (now_ms - moment) / 1_000)


def lies_ahead(moment: str | None, now_ms: int) -> bool:
    """Whether the clock was set back since that was written."""
    read_ms = read(moment)
    return read_ms is not None and read_ms > now_ms + 1_000
