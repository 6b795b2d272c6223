"""A browser for tests of what people see: headless Chromium, one per test process, and pages that forget nothing said.

Whoever looks at a page through `looking_at` can see what it had to complain about. Never used by product code.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import final

from playwright.sync_api import Browser, Page, sync_playwright

from penstock.testing.services import chromium_binary

_TIMEOUT_MS = 20_000.0


@final
@dataclass(slots=True)
class Looking:
    """A page that is open."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    """What it wrote on the console as a warning or an error, and what it did not catch."""


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """A browser that ends with the block."""
    # As root, and in containers, there is no sandbox to be had; and /dev/shm is small there.
    arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_binary(), args=arguments)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def looking_at(browser: Browser, *, dark: bool = False) -> Iterator[Looking]:
    """A fresh page that has not gone anywhere yet; with its own storage and cache."""
    context = browser.new_context(color_scheme="dark" if dark else "light", viewport={"width": 1280, "height": 800})
    context.set_default_timeout(_TIMEOUT_MS)
    page = context.new_page()
    looking = Looking(page)
    page.on(
        "console",
        lambda message: looking.complaints.append(message.text) if message.type in ("warning", "error") else None,
    )
    page.on("pageerror", lambda error: looking.complaints.append(str(error)))
    try:
        yield looking
    finally:
        context.close()
