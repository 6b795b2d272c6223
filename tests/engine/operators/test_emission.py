"""What becomes of an emitted value: any value, declared or not, is safe from what its function does to it later."""

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from penstock.common.typeinfo import TypeInformation, Types
from penstock.common.types import Row
from penstock.operators.emission import Emission

ATOMS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary())
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
        st.builds(Row, inner, inner),
    ),
    max_leaves=8,
)


def spoil(value: Any) -> None:
    """Change everything in a value that can be changed."""
    if isinstance(value, dict):
        for inner in value.values():
            spoil(inner)
        value["spoilt"] = True
    elif isinstance(value, list):
        for inner in value:
            spoil(inner)
        value.append("spoilt")
    elif isinstance(value, Row):
        for inner in value:
            spoil(inner)
        value[0] = "spoilt"
    elif isinstance(value, tuple):
        for inner in value:
            spoil(inner)


def check(emission: Emission, value: Any) -> None:
    emitted = emission.one(value)
    before = copy.deepcopy(emitted)
    spoil(value)
    assert emitted == before


@given(VALUES)
def test_an_undeclared_value_is_out_of_reach_once_emitted(value: Any) -> None:
    assert Emission(None, object_reuse=False).one(value) == value
    check(Emission(None, object_reuse=False), value)


DECLARED: list[tuple[TypeInformation, st.SearchStrategy[Any]]] = [
    (Types.LIST(Types.STRING()), st.lists(st.text())),
    (Types.MAP(Types.STRING(), Types.LIST(Types.BOOLEAN())), st.dictionaries(st.text(), st.lists(st.booleans()))),
    (Types.ROW([Types.STRING(), Types.LIST(Types.STRING())]), st.builds(Row, st.text(), st.lists(st.text()))),
    (Types.TUPLE([Types.STRING(), Types.LIST(Types.STRING())]), st.tuples(st.text(), st.lists(st.text()))),
    (Types.ROW([Types.PICKLED_BYTE_ARRAY(), Types.STRING()]), st.tuples(VALUES, st.text())),
]


@given(st.data())
def test_a_declared_value_is_out_of_reach_once_emitted(data: st.DataObject) -> None:
    declared, values = data.draw(st.sampled_from(DECLARED))
    check(Emission(declared, object_reuse=False), data.draw(values))
