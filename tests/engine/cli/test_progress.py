"""What the plain lines and the live view are made of."""

from dataclasses import replace

import pytest

from penstock.cli.live_lines import said, state_lines
from penstock.cli.progress import Progress, changes, count, rate
from penstock.cli.texts import size
from penstock.cli.views import PlainView, QuietView

BEGUN = Progress(
    name="words",
    job="00",
    state="CREATED",
    at_s=10.0,
    elapsed_s=0.0,
    records_in=0,
    records_out=0,
    restarts=0,
    restored=0,
    restored_from=None,
    completed=0,
    failed=0,
    last_checkpoint=None,
    last_duration_ms=0,
    last_bytes=0,
    state_bytes=0,
    failure="",
    checkpoint_failure="",
)
RUNNING = replace(BEGUN, state="RUNNING", at_s=12.0, elapsed_s=2.0, records_in=3000, records_out=100)


def test_what_has_not_changed_is_not_said_again() -> None:
    assert changes(BEGUN, BEGUN) == []
    assert changes(BEGUN, RUNNING) == ["job words RUNNING after 2.0 s"]


def test_a_failure_is_said_before_what_followed_from_it() -> None:
    failed = replace(RUNNING, state="RESTARTING", failure="worker 1 was lost", restarts=1)
    assert changes(RUNNING, failed) == ["job words failed: worker 1 was lost", "job words RESTARTING after 2.0 s"]
    restored = replace(failed, state="RUNNING", restored=1, restored_from=7)
    assert "job words restored from checkpoint 7 (restart 1)" in changes(failed, restored)


def test_rates_are_never_negative_when_counters_begin_anew() -> None:
    assert rate(BEGUN, RUNNING) == (1500.0, 50.0)
    assert rate(RUNNING, replace(RUNNING, at_s=13.0, records_in=5, records_out=0)) == (0.0, 0.0)
    assert rate(RUNNING, RUNNING) == (0.0, 0.0)


@pytest.mark.parametrize(("number", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB")])
def test_sizes_are_for_people(number: int, text: str) -> None:
    assert size(number) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0"), (999, "999"), (1_250_000, "1.25 M")])
def test_counts_are_for_people(number: float, text: str) -> None:
    assert count(number) == text


def test_completed_checkpoints_get_a_line_every_so_often() -> None:
    lines: list[str] = []
    view = PlainView(lines.append)
    view.show(RUNNING)
    for second in range(12):
        view.show(replace(RUNNING, at_s=12.0 + second, completed=second, last_checkpoint=second or None))
    assert [line for line in lines if "checkpoint" in line] == [
        "job words: checkpoint 1 completed in 0 ms, 0 B written, state 0 B (1 completed, 0 failed)",
        "job words: checkpoint 11 completed in 0 ms, 0 B written, state 0 B (11 completed, 0 failed)",
    ]


def test_lines_of_the_live_view_never_wrap() -> None:
    failed = replace(RUNNING, completed=3, last_checkpoint=3, failure="a very long story " * 20)
    lines = state_lines(BEGUN, failed, 40) + said(["and so on " * 20], 40)
    assert len(lines) == 5
    assert all("\n" not in line for line in lines)


@pytest.mark.parametrize(("view", "told"), [(QuietView, [1, 2, 5, 12]), (PlainView, [2, 5, 12])])
def test_a_job_that_fails_over_and_over_between_two_looks_is_told_more_and_more_rarely(
    view: type[QuietView] | type[PlainView], told: list[int]
) -> None:
    lines: list[str] = []
    shown = view(lines.append)
    for restarts in (0, 1, 2, 3, 5, 8, 9, 12):
        shown.show(replace(BEGUN, state="RESTARTING", failure="no luck", restarts=restarts))
    assert [line for line in lines if "restarts" in line] == [f"job words restarts ({n}): no luck" for n in told]
