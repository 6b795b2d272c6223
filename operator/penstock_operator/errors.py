"""Errors, sorted by what the caller can do about them.

Each text says what, which, what was expected and what was found.
"""

from typing import final


class OperatorError(Exception):
    """Base of all errors that the operator raises on purpose."""


@final
class InvalidValue(OperatorError, ValueError):
    """A text of a manifest does not say what its place needs: the user mends it. The text is what is allowed there."""


@final
class Unavailable(OperatorError):
    """There was no answer, or one that says to come again: whether a write was carried out is not known. Ask again."""


@final
class Conflict(OperatorError):
    """Somebody else was faster: what was known is not so any more. Observe again."""


@final
class Missing(OperatorError):
    """What was asked for does not exist."""


@final
class Rejected(OperatorError):
    """It was understood and refused, and will be again, until something else changes."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status
        """As HTTP has it; 0 where it was not HTTP."""
