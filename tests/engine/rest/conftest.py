"""What tests of REST share: a browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from penstock.testing.browsers import running_chromium


# For one module, not longer: while it runs, no other event loop can run in its thread.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_chromium() as browser:
        yield browser
