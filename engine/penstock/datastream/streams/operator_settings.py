"""What can be set on an operator once it stands in the program: name, uid, parallelism, chaining, slot sharing."""

from collections.abc import Sequence
from typing import Any, Self

from penstock.base.errors import JobDefinitionError
from penstock.common.arguments import check_argument
from penstock.datastream.absent import refuse_absent_attribute
from penstock.datastream.slot_sharing_group import SlotSharingGroup
from penstock.graph.resolve import MAX_PARALLELISM_HIGHEST
from penstock.graph.stream_graph import ChainingStrategy, StreamNode
from penstock.graph.uids import check_uid_hash

USE_DEFAULT = -1


class OperatorSettings:
    """Setters over the operators that one call of the user made; each returns the stream itself."""

    def _nodes(self) -> Sequence[StreamNode]:
        """The operators to set; the last is the one that a uid belongs to."""
        raise NotImplementedError

    def _default_parallelism(self) -> int:
        raise NotImplementedError

    def name(self, name: str) -> Self:
        """The operator's name, in logs, metrics and plans."""
        check_argument(name, str, "name()")
        self._nodes()[-1].name = name
        return self

    def uid(self, uid: str) -> Self:
        """The operator's identity, by which its state is found after the program has changed."""
        check_argument(uid, str, "uid()")
        if not uid:
            raise JobDefinitionError("a uid is a text that is not empty")
        self._nodes()[-1].uid = uid
        return self

    def set_uid_hash(self, uid_hash: str) -> Self:
        """The identity under which an earlier program's checkpoints know the operator: 32 hexadecimal digits."""
        check_uid_hash(uid_hash)
        self._nodes()[-1].uid_hash = uid_hash
        return self

    def set_description(self, description: str) -> Self:
        """A longer text for plans."""
        self._nodes()[-1].description = description
        return self

    def set_parallelism(self, parallelism: int) -> Self:
        """How many subtasks it has; -1: the environment's default."""
        check_parallelism(parallelism)
        wanted = self._default_parallelism() if parallelism == USE_DEFAULT else parallelism
        for node in self._nodes():
            if not node.parallel and wanted != 1:
                raise JobDefinitionError(f"The parallelism of non parallel operator must be 1: '{node.name}'.")
            node.parallelism = wanted
            node.parallelism_given = parallelism != USE_DEFAULT
        return self

    def disable_chaining(self) -> Self:
        """Give the operator a task of its own."""
        for node in self._nodes():
            node.chaining = ChainingStrategy.NEVER
        return self

    def slot_sharing_group(self, slot_sharing_group: str | SlotSharingGroup) -> Self:
        """Operators of different groups never share a slot."""
        check_argument(slot_sharing_group, (str, SlotSharingGroup), "slot_sharing_group()")
        group = slot_sharing_group
        name = group.get_name() if isinstance(group, SlotSharingGroup) else group
        for node in self._nodes():
            node.slot_sharing_group = name
        return self

    def __getattr__(self, name: str) -> Any:
        refuse_absent_attribute(self, name)

    def __reduce__(self) -> Any:
        raise JobDefinitionError(
            f"a {type(self).__name__} belongs to the program that describes the job, and cannot be used "
            "inside a function"
        )


def check_parallelism(parallelism: int) -> None:
    """Refuse what is neither a number of subtasks nor -1."""
    if not isinstance(parallelism, int) or (parallelism != USE_DEFAULT and parallelism < 1):
        raise JobDefinitionError(
            "The parallelism of an operator must be at least 1, or -1 for the environment's default; "
            f"found {parallelism!r}."
        )


def check_max_parallelism(max_parallelism: int) -> None:
    """Refuse what cannot be a number of key groups."""
    check_argument(max_parallelism, int, "set_max_parallelism()")
    if not 0 < max_parallelism <= MAX_PARALLELISM_HIGHEST:
        raise JobDefinitionError(
            f"The maximum parallelism must be greater than 0 and at most {MAX_PARALLELISM_HIGHEST}; "
            f"found {max_parallelism}."
        )
