"""Of tests with many cases `make test` plays some, chosen by PENSTOCK_SEED; `make soak` and PENSTOCK_FAULT=all play
all of them.

Called by what collects tests, before anything else looks at them.
"""

import os
from collections import defaultdict
from collections.abc import Callable
from random import Random

import pytest


def leave_out(config: pytest.Config, items: list[pytest.Item], cases_of: Callable[[pytest.Item], int | None]) -> None:
    """Keep as many cases of each test as `cases_of` its items says; None: all. A case that was asked for stays."""
    asked_for = any("[" in argument for argument in config.args)
    if asked_for or os.environ.get("PENSTOCK_FAULT") == "all" or config.getoption("--soak-s") is not None:
        return
    tests: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if cases_of(item) is not None:
            tests[item.nodeid.partition("[")[0]].append(item)
    out: set[pytest.Item] = set()
    for name, cases in tests.items():
        kept = Random(f"{os.environ['PENSTOCK_SEED']} {name}").sample(cases, min(len(cases), cases_of(cases[0]) or 0))
        out |= set(cases) - set(kept)
    config.hook.pytest_deselected(items=list(out))
    items[:] = [item for item in items if item not in out]
