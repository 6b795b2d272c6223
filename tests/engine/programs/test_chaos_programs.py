"""Random programs commit exactly what they must, whatever dies, and wherever they are cancelled and go on."""

import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from penstock.testing.chaos_programs import check_kills, check_rescaled

SAMPLE = 1


@pytest.mark.soak
@pytest.mark.parametrize("check", [check_kills, check_rescaled])
def test_a_random_program_commits_exactly_what_it_must(
    check: Callable[[int, Path], None], soak_s: float | None, tmp_path: Path
) -> None:
    seeds = range(SAMPLE) if soak_s is None else count(SAMPLE)
    until = time.monotonic() + (soak_s or 3_600)
    for seed in seeds:
        if time.monotonic() >= until:
            break
        check(seed, tmp_path)
