"""The Chromium of the machine, controlled by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from tests.servers import TIMEOUT, require

if TYPE_CHECKING:
    from playwright.async_api import Browser

CHROMIUM = "chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP *.example 127.0.0.1",
]


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Yield a browser. Without Chromium the test is skipped; in CI it fails."""
    require(find_spec("playwright"), "playwright is not installed")
    require(shutil.which(CHROMIUM), f"{CHROMIUM} is not installed")
    from playwright.async_api import async_playwright, expect

    # Its default is 5 s, and a page of a busy machine takes its time.
    expect.set_options(timeout=3 * TIMEOUT * 1000)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which(CHROMIUM), args=ARGUMENTS
        )
        yield browser
        await browser.close()
