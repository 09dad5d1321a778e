"""Finding what was said: by words, by day, by its address; also in a room of a hundred thousand messages."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from moltnet.protocol.messages import Part, PartKind
from moltnet.storage.commands import AppendMessage
from tests.browser.console import Served, serve, visit
from tests.fakes.network import direct_message, room_message, thread_message
from tests.scale.large_network import commit_all
from tests.storage.examples import at, post, with_parts

pytestmark = pytest.mark.slow  # a real browser

MESSAGES = 100_000
MINUTE_SECONDS = 60
NEEDLE = 93_000
# What is in sight keeps its place, which is further down once the page before is there.
SCROLL_UP_A_PAGE = """async (list) => {
  list.scrollTop = 0;
  do await new Promise(requestAnimationFrame); while (list.scrollTop < 400);
}"""
# Of the page that shows such a room, whatever was scrolled.
MOST_ROWS = 120
MOST_HEAP_MB = 60


def found(page: Page) -> list[str]:
    return [text.strip() for text in page.locator(".excerpt").all_inner_texts()]


def test_what_was_said_is_found_by_words_sender_and_place(browser: Browser) -> None:
    with serve() as served, visit(browser, served) as visitor:
        served.say("the build broke", "the tests broke")
        served.say("nothing broke here", sender="beta")
        served.post(room_message("the parent", message_id="m1"))
        served.post(thread_message("t1", "broke in a thread"))
        served.post(direct_message("d1", "alpha", "beta", text="I broke it, between us"))
        page = visitor.open("/console/room/general")
        page.locator("body").press("s")
        expect(page.get_by_label("text")).to_be_focused()
        page.keyboard.type("BROKE")
        page.keyboard.press("Enter")
        expect(page.locator(".found li")).to_have_count(5)
        assert found(page)[0] == "I broke it, between us"
        expect(page.locator("mark").first).to_have_text("broke")
        page.get_by_label("from").fill("beta")
        page.get_by_role("button", name="search").click()
        expect(page.locator(".found li")).to_have_count(1)
        page.go_back()
        expect(page.locator(".found li")).to_have_count(5)
        page.get_by_label("text").fill('"build broke"')
        page.get_by_label("text").press("Enter")
        expect(page.locator(".found li")).to_have_count(1)
        page.locator(".excerpt").click()
        expect(page.locator(".message.wanted")).to_contain_text("the build broke")

        page.get_by_role("link", name="search here").click()
        expect(page).to_have_url(re.compile("room=general"))
        page.get_by_label("text").fill("thread")
        page.get_by_label("text").press("Enter")
        expect(page.get_by_text("Nothing fits.")).to_be_visible()
        page.get_by_label("since").fill("2001-01-01")
        page.get_by_label("text").fill("broke")
        page.get_by_role("button", name="search").click()
        expect(page.locator(".found li")).to_have_count(3)
        page.get_by_label("until").fill("2001-01-02")
        page.get_by_role("button", name="search").click()
        expect(page.get_by_text("Nothing fits.")).to_be_visible()


def test_the_files_of_a_conversation_are_a_list(browser: Browser) -> None:
    with serve() as served, visit(browser, served) as visitor:
        log = Part(kind=PartKind.FILE, filename="soak.log", url="https://example.com/soak.log", media_type="text/plain")

        def messages() -> Iterator[AppendMessage]:
            for number in range(60):
                yield with_parts(post(f"f{number}", seconds=number), log)

        served.while_down(lambda store: commit_all(store, messages()))
        page = visitor.open("/console/room/general")
        page.get_by_role("link", name="files").click()
        files = page.get_by_role("complementary", name="Files").locator("li")
        expect(files).to_have_count(50)
        expect(files.first.get_by_role("link", name="soak.log")).to_have_attribute("rel", "noopener noreferrer")
        page.get_by_role("button", name="older ones").click()
        expect(files).to_have_count(60)
        files.last.get_by_role("link", name="its message").click()
        expect(page.locator(".message.wanted")).to_be_in_viewport()
        expect(files.first).to_be_visible()
        page.get_by_role("link", name="Close the files").click()
        expect(files).to_have_count(0)


@pytest.fixture(scope="module")
def long_room() -> Iterator[Served]:
    def messages() -> Iterator[AppendMessage]:
        for number in range(MESSAGES):
            text = f"needle {number}" if number == NEEDLE else f"line {number}" + "\nmore" * (number % 3)
            yield post(f"m{number}", text=text, seconds=number * MINUTE_SECONDS)

    with serve() as served:
        served.while_down(lambda store: commit_all(store, messages()))
        yield served


def assert_bounded(page: Page) -> None:
    assert page.locator(".message").count() < MOST_ROWS
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    heap_mb = session.send("Runtime.getHeapUsage")["usedSize"] / 1e6
    assert heap_mb < MOST_HEAP_MB
    print(f"heap {heap_mb:.1f} MB, nodes {page.locator('*').count()}")


def test_a_room_of_a_hundred_thousand_messages_scrolls_in_bounded_memory(browser: Browser, long_room: Served) -> None:
    with visit(browser, long_room) as visitor:
        page = visitor.open("/console/room/general")
        expect(page.locator(".text").get_by_text(f"line {MESSAGES - 1}")).to_be_in_viewport()
        rows = page.locator(".scroller")
        for _ in range(60):
            rows.evaluate(SCROLL_UP_A_PAGE)
        held = int(page.locator("[aria-setsize]").first.get_attribute("aria-setsize") or 0)
        assert 1_000 < held < 4_200  # six thousand were read: the newest were let go
        assert_bounded(page)
        page.get_by_role("button", name="to the newest").click()
        expect(page.locator(".text").get_by_text(f"line {MESSAGES - 1}")).to_be_in_viewport()
        assert_bounded(page)


def test_any_message_of_a_long_room_has_an_address(browser: Browser, long_room: Served) -> None:
    with visit(browser, long_room) as visitor:
        for number in (50_000, 1, 0, MESSAGES - 1):
            page = visitor.open(f"/console/room/general?message=m{number}")
            expect(page.locator(".message.wanted")).to_be_in_viewport()
            expect(page.locator(".message.wanted .text")).to_contain_text(f"line {number}")
            assert_bounded(page)
            page.close()


def test_a_long_room_is_opened_at_a_day(browser: Browser, long_room: Served) -> None:
    day = datetime.fromisoformat(at(MESSAGES // 2 * MINUTE_SECONDS)).date() + timedelta(days=1)
    with visit(browser, long_room) as visitor:
        page = visitor.open("/console/room/general")
        page.get_by_title("Go to a day").click()
        page.get_by_label("day").fill(day.isoformat())
        page.get_by_role("button", name="go there").click()
        first = page.locator(".message time").first
        expect(page.locator(f".message time[datetime^='{day.isoformat()}T00:0']").first).to_be_in_viewport()
        page.locator(".scroller").evaluate("(list) => { list.scrollTop = 0; }")
        before = (day - timedelta(days=1)).isoformat()
        expect(first).to_have_attribute("datetime", re.compile(f"^{before}"))
        assert_bounded(page)


def test_a_word_is_found_far_back_in_a_long_room(browser: Browser, long_room: Served) -> None:
    with visit(browser, long_room) as visitor:
        page = visitor.open("/console/search?text=needle")
        expect(page.locator(".found li")).to_have_count(1, timeout=60_000)
        page.locator(".excerpt").click()
        expect(page.locator(".message.wanted .text")).to_contain_text(f"needle {NEEDLE}")
        expect(page.locator(".message.wanted")).to_be_in_viewport()
        assert_bounded(page)
