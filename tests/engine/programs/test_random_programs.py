"""Random programs give what plain Python computes for them."""

import time
from itertools import count
from pathlib import Path

import pytest

from penstock.testing.program_generator import Settings
from penstock.testing.random_programs import check, random_program

PARTS = 4
SAMPLE = 3


@pytest.mark.soak
@pytest.mark.parametrize("part", range(PARTS))
def test_a_random_program_gives_what_plain_python_computes(part: int, soak_s: float | None, tmp_path: Path) -> None:
    settings = Settings(files=tmp_path)
    seeds = range(part, PARTS * SAMPLE, PARTS) if soak_s is None else count(PARTS * SAMPLE + part, PARTS)
    until = time.monotonic() + (soak_s or 3_600)
    for seed in seeds:
        if time.monotonic() < until:
            check(random_program(seed, settings))
        else:
            break
