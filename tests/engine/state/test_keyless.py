"""Keyed state where there is no key."""

from pathlib import Path
from typing import Literal

import pytest

from penstock.base.errors import StateError
from penstock.common.typeinfo import Types
from penstock.state.descriptors import ListStateDescriptor, MapStateDescriptor, ValueStateDescriptor
from penstock.testing.states import OneSubtask


@pytest.mark.parametrize("kind", ["hashmap", "rocksdb"])
def test_state_is_neither_read_nor_written_before_there_is_a_key(
    kind: Literal["hashmap", "rocksdb"], tmp_path: Path
) -> None:
    world = OneSubtask(kind, tmp_path)
    value = world.backend.state(ValueStateDescriptor("v", Types.LONG()))
    elements = world.backend.state(ListStateDescriptor("l", Types.LONG()))
    entries = world.backend.state(MapStateDescriptor("m", Types.LONG(), Types.LONG()))
    for access in (
        value.value,
        elements.get,
        entries.items,
        entries.is_empty,
        lambda: value.update(1),
        lambda: elements.add(1),
        lambda: entries.put(1, 1),
    ):
        with pytest.raises(StateError, match="no key is set: keyed state is read and written while a record"):
            access()
    world.on("a")
    value.update(1)
    assert value.value() == 1
    world.backend.close()
