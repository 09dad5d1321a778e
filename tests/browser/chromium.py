"""The browser of a run: one real Chromium without a window, which every test opens a profile of its own in."""

import os
import queue
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_START_LINE: Final = "DevTools listening on "
_START_SECONDS: Final = 60
_OPTIONS: Final = (
    "--headless=new",
    "--remote-debugging-port=0",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--hide-scrollbars",
    # Pages of several tests are open at once; none of them may be slowed down for being behind another.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
)


def find_chromium() -> str | None:
    """`MOLTNET_TEST_BROWSER`, or what the system has."""
    return os.environ.get("MOLTNET_TEST_BROWSER") or next(filter(None, map(shutil.which, _NAMES)), None)


@contextmanager
def open_chromium(program: str, profile: Path) -> Iterator[str]:
    """Run the browser. Gives the address of its DevTools."""
    # It has no sandbox for root, who has nothing to gain from one that a test could leave.
    options = (*_OPTIONS, *(("--no-sandbox",) if os.geteuid() == 0 else ()), f"--user-data-dir={profile}")
    process = subprocess.Popen(
        [program, *options, "about:blank"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stderr is not None
    reading = threading.Thread(target=_drain, args=(process.stderr, found := queue.SimpleQueue[str]()), daemon=True)
    reading.start()
    try:
        address = found.get(timeout=_START_SECONDS)
        assert address.startswith("ws://"), f"the browser does not start:\n{address}"
        yield address
    finally:
        # Its children are of its session, and none of them has anything to say any more.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        reading.join()
        process.stderr.close()


def _drain(lines: IO[bytes], found: "queue.SimpleQueue[str]") -> None:
    """Read on for as long as it lives: a full pipe would stop it."""
    said: list[str] = []
    for line in lines:
        text = line.decode(errors="replace").strip()
        if text.startswith(_START_LINE):
            found.put(text.removeprefix(_START_LINE))
        said = [*said[-20:], text]
    found.put("\n".join(said))
