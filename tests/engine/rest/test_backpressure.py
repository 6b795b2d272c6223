"""Flink's levels of back pressure, from what tasks measured."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.ids import AttemptId, SubtaskId, VertexId
from penstock.rest.backpressure_answers import judged, level
from penstock.rpc.figures import TaskMetrics

ORDER = ["OK", "LOW", "HIGH"]


def task(index: int, ratio: float) -> TaskMetrics:
    attempt = AttemptId(SubtaskId(VertexId("v"), index), 3)
    return TaskMetrics(attempt, backpressured_ms_per_s=ratio * 1000, busy_ms_per_s=(1 - ratio) * 1000)


@pytest.mark.parametrize(
    ("ratio", "expected"), [(0, "OK"), (0.10, "OK"), (0.11, "LOW"), (0.5, "LOW"), (0.51, "HIGH"), (1, "HIGH")]
)
def test_levels_begin_where_flinks_do(ratio: float, expected: str) -> None:
    assert level(ratio) == expected


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_a_vertex_is_as_bad_as_its_worst_subtask(ratios: list[float]) -> None:
    answer = judged([task(index, ratio) for index, ratio in enumerate(ratios)], now_ms=5)
    levels = [subtask["backpressure-level"] for subtask in answer["subtasks"]]
    assert answer["status"] == "ok"
    assert answer["backpressureLevel"] == max(levels, key=ORDER.index)
    assert [subtask["subtask"] for subtask in answer["subtasks"]] == list(range(len(ratios)))
    assert all(0 <= subtask["ratio"] + subtask["busyRatio"] <= 1.000001 for subtask in answer["subtasks"])


def test_without_figures_they_are_too_old() -> None:
    assert judged([], now_ms=5)["status"] == "deprecated"
