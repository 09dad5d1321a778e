"""A browser with several tabs, that comes back, that is told of what it does not look at; a page that breaks."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.console import Served, Visitor, serve, visit, with_tokens
from tests.fakes.http_client import HttpClient
from tests.fakes.network import direct_message, room_message, secret_of

pytestmark = pytest.mark.slow  # a real browser

# As many as a browser could not have if each held a stream: it has six connections over HTTP/1.1.
TABS = 8
# A tab that ends without a word is missed by the next question and its time to answer.
MISSED_MS = 45_000

# A page in the background, and a browser that keeps what it is asked to show.
_AWAY = """
Object.defineProperty(document, "hidden", { get: () => window.isAway === true });
window.shown = [];
window.Notification = class {
  static permission = "default";
  static async requestPermission() { return (this.permission = "granted"); }
  constructor(title, options) { window.shown.push([title, options.body]); }
  close() {}
};
"""


def streams(served: Served) -> int:
    text = served.run(lambda: HttpClient(served.url).get("/metrics")).body.decode()
    return int(float(re.findall(r"^moltnet_active_sse_subscribers(?:{[^}]*})? (\S+)", text, re.MULTILINE)[0]))


def assert_one_stream(served: Served, page: Page) -> None:
    for _ in range(50):
        if streams(served) == 1:
            return
        page.wait_for_timeout(100)
    assert streams(served) == 1


def open_tabs(visitor: Visitor) -> list[Page]:
    return [visitor.open("/console/room/general") for _ in range(TABS)]


def test_all_tabs_of_a_browser_share_one_stream(browser: Browser) -> None:
    with serve() as served, visit(browser, served) as visitor:
        pages = open_tabs(visitor)
        assert_one_stream(served, pages[0])
        served.say("to all")
        for page in pages:
            expect(page.locator(".message")).to_have_count(1)


def test_another_tab_goes_on_when_the_one_with_the_stream_is_closed(browser: Browser) -> None:
    with serve() as served, visit(browser, served) as visitor:
        pages = open_tabs(visitor)
        for number in range(3):
            pages.pop(0).goto("about:blank")
            served.say(f"after {number}")
            for page in pages:
                expect(page.locator(".message")).to_have_count(number + 1)
        assert_one_stream(served, pages[0])


def test_another_tab_goes_on_when_the_one_with_the_stream_is_killed(browser: Browser) -> None:
    with serve() as served, visit(browser, served) as visitor:
        first, second, third = (visitor.open("/console/room/general") for _ in range(3))
        first.close()
        served.say("nobody tells")
        for page in (second, third):
            expect(page.locator(".message")).to_have_count(1, timeout=MISSED_MS)
        assert_one_stream(served, second)


def test_tabs_go_on_after_the_server_was_started_again(browser: Browser) -> None:
    with serve() as served, visit(browser, served) as visitor:
        pages = [visitor.open("/console/room/general") for _ in range(2)]
        served.say("before")
        served.stop()
        for page in pages:
            expect(page.locator(".stream")).to_have_text("reconnecting")
        served.start()
        served.say("after")
        for page in pages:
            expect(page.locator(".message")).to_have_count(2, timeout=30_000)
            expect(page.locator(".stream")).to_have_text("live")


def test_signing_in_or_out_in_one_tab_is_so_in_all(browser: Browser) -> None:
    with serve(with_tokens()) as served, visit(browser, served) as visitor:
        first, second = (visitor.open("/console/room/general", wait=False) for _ in range(2))
        expect(second.get_by_label("token")).to_be_visible()
        first.get_by_label("token").fill(secret_of("ops"))
        first.get_by_label("token").press("Enter")
        for page in (first, second):
            expect(page.locator(".stream")).to_have_text("live")
        second.locator(".account summary").click()
        second.get_by_role("button", name="sign out").click()
        for page in (first, second):
            expect(page.get_by_label("token")).to_be_visible()


def test_what_is_unread_stays_so_until_it_is_read(browser: Browser) -> None:
    with serve() as served, visit(browser, served) as visitor:
        served.say("old", room="ops")
        page = visitor.open("/console/room/ops")
        expect(page.locator(".message")).to_have_count(1)
        page.get_by_role("link", name="General").click()
        served.say("one", "two", room="ops")
        ops = page.get_by_role("navigation", name="Conversations").get_by_role("link", name="Ops")
        expect(ops.locator(".badge")).to_have_text("2")
        page.reload()
        expect(ops.locator(".badge")).to_have_text("2")
        page.goto("about:blank")
        served.say("three", room="ops")
        served.post(direct_message("d1", "alpha", "beta", text="between us"))
        page.goto(f"{served.url}/console/room/general")
        expect(ops.locator(".badge")).to_have_text("3")
        expect(page.get_by_role("link", name="alpha, beta").locator(".badge")).to_have_text("1")

        ops.click()
        expect(page.get_by_role("heading", name="new")).to_be_visible()
        rows = page.locator(".rows > li").all_inner_texts()
        assert next(row for row in rows if "new" in row or "one" in row).strip() == "new"
        expect(ops.locator(".badge")).to_have_count(0)
        page.reload()
        expect(page.locator(".message")).to_have_count(4)
        expect(ops.locator(".badge")).to_have_count(0)


def test_what_one_tab_reads_is_read_in_the_others(browser: Browser) -> None:
    with serve() as served, visit(browser, served) as visitor:
        first, second = (visitor.open("/console/room/general") for _ in range(2))
        served.say("news", room="ops")
        badge = second.get_by_role("link", name="Ops").locator(".badge")
        expect(badge).to_have_text("1")
        first.get_by_role("link", name="Ops").click()
        expect(badge).to_have_count(0)


def test_who_wants_it_is_notified_of_what_is_for_him_while_away(browser: Browser) -> None:
    with serve() as served, visit(browser, served) as visitor:
        visitor.context.add_init_script(_AWAY)
        page = visitor.open("/console/room/general")
        page.evaluate("window.isAway = true")
        served.say("@you before it was asked for")
        page.locator(".account summary").click()
        page.get_by_label("notify me").check()
        served.post(room_message("@you come back", room="ops"))
        served.say("not for anybody", room="ops")
        served.post(direct_message("d1", "alpha", "you", text="psst"))
        expect(page.get_by_role("link", name="alpha, you").locator(".badge")).to_have_text("1")
        assert page.evaluate("window.shown") == [["alpha · Ops", "@you come back"], ["alpha · alpha, you", "psst"]]
        page.evaluate("window.isAway = false")
        served.post(direct_message("d1", "alpha", "you", text="I look"))
        expect(page.get_by_role("link", name="alpha, you").locator(".badge")).to_have_text("2")
        assert len(page.evaluate("window.shown")) == 2


def test_a_mistake_of_the_page_is_shown_and_not_only_logged(browser: Browser) -> None:
    with serve() as served, visit(browser, served) as visitor:
        page = visitor.open("/console/room/general")
        page.evaluate("void setTimeout(() => { throw new Error('out of <b>coffee</b>'); })")
        expect(page.get_by_role("alert")).to_contain_text("Out of <b>coffee</b>")
        expect(page.get_by_role("button", name="load it again")).to_be_visible()
        assert visitor.wrong == ["error: out of <b>coffee</b>"]
        visitor.wrong.clear()


def test_a_view_that_breaks_leaves_the_others(browser: Browser) -> None:
    with serve() as served, visit(browser, served) as visitor:
        page = visitor.open("/console/room/general")
        broken = {"agents": [{"id": 5, "connected": True, "rooms": 7}], "page": {"has_more": False}}
        page.route("**/v1/agents?*", lambda route: route.fulfill(json=broken))
        page.goto(f"{served.url}/console/agents")
        expect(page.get_by_role("alert")).to_contain_text("This view can't be shown")
        page.get_by_role("link", name="events").click()
        expect(page.locator(".event").first).to_be_visible()
        assert visitor.wrong != []
        visitor.wrong.clear()
