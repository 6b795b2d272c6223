"""Touched keys: every key is noted, once, and no set outgrows its size."""

from hypothesis import given
from hypothesis import strategies as st

from penstock.state.hashmap.touched import Touched


@given(st.lists(st.lists(st.integers(0, 30), max_size=8)), st.integers(1, 12))
def test_every_touched_key_is_in_exactly_one_set(batches: list[list[int]], set_keys: int) -> None:
    touched = Touched(set_keys)

    for batch in batches:
        touched.note(batch)

    noted = [key for some in touched.sets for key in some]
    assert sorted(noted) == sorted({key for batch in batches for key in batch})
    assert all(len(some) <= set_keys + 8 for some in touched.sets)
