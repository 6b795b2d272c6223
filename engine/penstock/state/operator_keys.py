"""The type of an operator's keys: declared, restored, or fixed by the first key; two of these must not contradict.

Both backends hold one. Without it a program whose keys have another type than those of its checkpoint would start and
silently find no state.
"""

from typing import Any, final

from penstock.base.errors import IncompatibleState
from penstock.records.key_types import KeyType, key_type_of


@final
class OperatorKeys:
    """`type` is None while nothing is known. `is_settled` once the program has said, or shown, what its keys are."""

    __slots__ = ("_operator", "is_settled", "type")

    def __init__(self, operator: str, declared: KeyType | None, held: KeyType | None) -> None:
        """`held`: what the checkpoint holds. IncompatibleState if the declared type is another one."""
        self._operator = operator
        self.type = held
        self.is_settled = declared is not None
        if declared is not None:
            self._join(declared)

    def settle(self, key: Any) -> None:
        """The first key. IncompatibleState if it is of another type than those of the checkpoint."""
        self._join(key_type_of(key))
        self.is_settled = True

    def info(self) -> dict[str, Any] | None:
        """For `_metadata`."""
        return None if self.type is None else {"key": self.type.to_json()}

    def _join(self, given: KeyType) -> None:
        joined = given if self.type is None else self.type.joined(given)
        if joined is None:
            raise IncompatibleState(f"keys of operator {self._operator} are {self.type} in the checkpoint, {given} now")
        self.type = joined
