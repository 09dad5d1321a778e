"""One browser for the run; tests share nothing of it but the process."""

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.chromium import find_chromium, open_chromium


@pytest.fixture(scope="session")
def chromium_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = find_chromium()
    if program is None:
        assert "CI" not in os.environ, "CI must have a browser: scripts/install-test-browser"
        pytest.skip("there is no Chromium: scripts/install-test-browser")
    with open_chromium(program, tmp_path_factory.mktemp("chromium")) as address:
        yield address


@pytest.fixture(scope="module")
def browser(chromium_address: str) -> Iterator[Browser]:
    """The browser as its driver sees it. For a module, because the driver keeps a loop of asyncio on this thread, which
    tests elsewhere do without.
    """
    with ExitStack() as stack:
        playwright = stack.enter_context(sync_playwright())
        yield playwright.chromium.connect_over_cdp(chromium_address)
