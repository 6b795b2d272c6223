"""A job's id as programs see it; mirrors pyflink.common.job_id."""

from typing import final

__all__ = ["JobID"]


@final
class JobID:
    """32 hexadecimal digits."""

    __slots__ = ("_text",)

    def __init__(self, job_id: str) -> None:
        self._text = str(job_id)

    def to_hex_string(self) -> str:
        return self._text

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, JobID) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"JobID({self._text!r})"
