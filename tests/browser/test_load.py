"""Many messages into an open room: none is missed, and the page stays usable.

`MOLTNET_TEST_CONSOLE_SECONDS=60` and `-s` for the long form; what it measures is printed,
the share in processor time.
"""

import os
import time

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.console import serve, visit
from tests.fakes.network import post, room_message

pytestmark = pytest.mark.slow  # a real browser

PER_SECOND = 50
SECONDS = int(os.environ.get("MOLTNET_TEST_CONSOLE_SECONDS", "3"))

_MEASURE = """
window.busy = { ms: 0, longest: 0 };
new PerformanceObserver((list) => list.getEntries().forEach(({ duration }) => {
  window.busy.ms += duration;
  window.busy.longest = Math.max(window.busy.longest, duration);
})).observe({ type: "longtask", buffered: false });
"""


def test_fifty_messages_a_second_are_all_shown(browser: Browser) -> None:
    with serve() as served, visit(browser, served) as visitor:
        page = visitor.open("/console/room/general")
        page.evaluate(f"() => {{ {_MEASURE} }}")
        total = PER_SECOND * SECONDS
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        before = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
        began = time.monotonic()
        for number in range(total):
            request = room_message(f"line {number}\nwith `code` and **more**", message_id=f"m{number}")
            served.run(lambda request=request: post(served.app, request))  # type: ignore[misc]
            page.wait_for_timeout(max(0, 1000 * (began + (number + 1) / PER_SECOND - time.monotonic())))
        expect(page.locator(".text").get_by_text(f"line {total - 1}", exact=False)).to_be_in_viewport()
        took = time.monotonic() - began
        after = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
        # The list counts what it holds: every message, and a row for the day.
        expect(page.locator("[aria-setsize]").first).to_have_attribute("aria-setsize", str(total + 1))
        assert page.locator(".message").count() < 120
        spent = {name: after[name] - before[name] for name in ("LayoutCount", "ScriptDuration", "LayoutDuration")}
        # One for what has come, and now and then one for the list beside: none for what the page asks the browser.
        assert spent["LayoutCount"] < 1.5 * total + 50
        share = (after["TaskDuration"] - before["TaskDuration"]) / took
        print(
            f"{total} messages in {took:.1f} s: main thread busy {share:.0%}, {page.evaluate('busy')}, {spent},"
            f" heap {after['JSHeapUsedSize'] / 1e6:.1f} MB, nodes {after['Nodes']:.0f}"
        )
