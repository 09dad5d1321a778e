"""Conversations in a real browser: what comes, what was there, what is written."""

import re

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.console import Served, serve, visit
from tests.fakes.http_client import HttpClient
from tests.fakes.network import direct_message, room_message, thread_message

pytestmark = pytest.mark.slow  # a real browser

DISTANCE_FROM_END = "(list) => list.scrollHeight - list.scrollTop - list.clientHeight"


def texts(page: Page) -> list[str]:
    return [text.strip() for text in page.locator(".message .text").all_inner_texts()]


def write(page: Page, text: str) -> None:
    page.locator("#composer-text").fill(text)
    page.locator("#composer-text").press("Enter")


def stored(served: Served, query: str = "/v1/rooms/general/messages") -> list[str]:
    answer = served.run(lambda: HttpClient(served.url).get(query))
    return [message["parts"][0]["text"] for message in answer.json()["messages"]]


def test_a_message_comes_live_and_counts_where_nobody_looks(browser: Browser) -> None:
    with serve() as served, visit(browser, served) as visitor:
        page = visitor.open("/console/room/general")
        expect(page.get_by_text("Nothing has been said here yet.")).to_be_visible()
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        served.say("one", "two")
        expect(page.locator(".message")).to_have_count(2)
        served.say("elsewhere", room="ops")
        ops = page.get_by_role("link", name="Ops")
        expect(ops.locator(".badge")).to_have_text("1")
        expect(page).to_have_title("(1) General · Lab")
        assert requests == []  # an event is enough
        expect(page.get_by_role("status").filter(has_text="two")).to_have_count(1)  # said to a screen reader
        ops.click()
        expect(page.locator(".message")).to_contain_text("elsewhere")
        expect(ops.locator(".badge")).to_have_count(0)
        expect(page).to_have_title("Ops · Lab")


def test_it_goes_on_after_the_server_was_started_again(browser: Browser) -> None:
    with serve() as served, visit(browser, served) as visitor:
        page = visitor.open("/console/room/general")
        served.say("before")
        expect(page.locator(".message")).to_have_count(1)
        served.stop()
        expect(page.locator(".stream")).to_have_text("reconnecting")
        served.start()
        served.say("meanwhile")
        expect(page.locator(".stream")).to_have_text("live", timeout=30_000)
        served.say("after")
        expect(page.locator(".message")).to_have_count(3)
        assert texts(page) == ["before", "meanwhile", "after"]


def test_older_pages_come_while_scrolling_and_the_place_is_kept(browser: Browser) -> None:
    with serve() as served, visit(browser, served) as visitor:
        served.say(*(f"line {number}" + "\nmore" * (number % 4) for number in range(400)))
        page = visitor.open("/console/room/general")
        rows = page.locator(".scroller")
        expect(page.locator(".text").get_by_text("line 399")).to_be_in_viewport()
        assert page.locator(".message").count() < 100  # only what is near
        assert rows.evaluate(DISTANCE_FROM_END) < 2

        for newest_on_top in (200, 100, 0):
            # Each time the top is reached, the page before comes.
            rows.evaluate("(list) => { list.scrollTop = 0; }")
            expect(page.locator("[aria-setsize]").first).to_have_attribute("aria-setsize", str(401 - newest_on_top))
        rows.evaluate("(list) => { list.scrollTop = 0; }")
        expect(page.locator(".text").get_by_text("line 0", exact=True)).to_be_in_viewport()
        assert page.locator(".message").count() < 100
        served.say("the newest")
        page.get_by_role("button", name="1 new message").click()
        expect(page.locator(".text").get_by_text("the newest")).to_be_in_viewport()


def test_what_is_looked_at_keeps_its_place_when_older_messages_come(browser: Browser) -> None:
    with serve() as served, visit(browser, served) as visitor:
        served.say(*(f"line {number}" + "\nmore" * (number % 4) for number in range(300)))
        page = visitor.open("/console/room/general")
        expect(page.locator(".text").get_by_text("line 299")).to_be_in_viewport()
        rows = page.locator(".scroller")
        with page.expect_response(re.compile("before=")):
            rows.evaluate("(list) => { list.scrollTop = 150; }")
        place = """() => {
          const list = document.querySelector(".scroller"), edge = list.getBoundingClientRect().top;
          const bottom = (each) => each.getBoundingClientRect().bottom;
          const row = [...list.querySelectorAll("[data-key]")].find((each) => bottom(each) > edge);
          return [row.dataset.key, Math.round(row.getBoundingClientRect().top - edge)];
        }"""
        expect(page.locator("[aria-setsize]").first).to_have_attribute("aria-setsize", "201")
        key, top = page.evaluate(place)
        served.say("something new")
        expect(page.get_by_role("button", name="1 new message")).to_be_visible()
        assert page.evaluate(place) == [key, top]
        assert rows.evaluate("(list) => list.scrollTop") > 1_000


def test_a_permalink_opens_an_old_message_in_its_place(browser: Browser) -> None:
    with serve() as served, visit(browser, served) as visitor:
        for number in range(300):
            served.post(room_message(f"line {number}", message_id=f"m{number}"))
        page = visitor.open("/console/room/general?message=m42")
        expect(page.locator(".message.wanted")).to_be_in_viewport()
        expect(page.locator(".message.wanted .text")).to_have_text("line 42")
        page.get_by_role("button", name="to the newest").click()
        expect(page.locator(".text").get_by_text("line 299")).to_be_in_viewport()
        page.goto(f"{served.url}/console/room/general?message=m0")
        expect(page.locator(".message.wanted .text")).to_have_text("line 0")
        page.goto(f"{served.url}/console/room/general?message=nothing-like-it")
        expect(page.get_by_role("alert")).to_be_visible()


def test_a_thread_is_begun_and_counted(browser: Browser) -> None:
    with serve() as served, visit(browser, served) as visitor:
        served.post(room_message("the matter", message_id="m1"))
        page = visitor.open("/console/room/general")
        page.locator(".message").hover()
        page.get_by_role("link", name="thread", exact=True).click()
        write(page, "an opinion")
        expect(page.locator(".message:not(.pending)")).to_contain_text("an opinion")
        expect(page.get_by_text("1 message", exact=True)).to_be_visible()
        served.post(thread_message("thread-m1", "another"))
        expect(page.locator(".message")).to_have_count(2)
        page.get_by_role("link", name="# General").click()
        expect(page.locator(".message.wanted")).to_contain_text("the matter")
        replies = page.get_by_role("link", name="2 replies")
        served.post(thread_message("thread-m1", "a third"))
        expect(page.get_by_role("link", name="3 replies")).to_be_visible()
        expect(page.get_by_role("region", name="threads with news").get_by_role("link")).to_have_count(1)
        expect(replies).to_have_count(0)
        page.get_by_role("link", name="3 replies").click()
        expect(page.locator(".message")).to_have_count(3)


def test_a_direct_conversation_is_begun_with_an_agent(browser: Browser) -> None:
    with serve() as served, visit(browser, served) as visitor, served.attached("alpha"):
        served.post(direct_message("d1", "alpha", "beta", text="between us"))
        page = visitor.open("/console/dm/d1")
        expect(page.locator(".message")).to_contain_text("between us")
        expect(page.get_by_role("note")).to_contain_text("takes no part in this conversation of alpha, beta")
        page.locator(".account summary").click()
        page.get_by_label("your name here").fill("Ada Lovelace")
        page.get_by_label("your name here").press("Tab")
        page.locator(".account summary").click()

        page.get_by_role("link", name="agents").click()
        page.get_by_role("table").get_by_role("link", name="alpha", exact=True).click()
        page.get_by_role("link", name="write to alpha").click()
        write(page, "psst")
        expect(page.locator(".message:not(.pending)")).to_contain_text("psst")
        expect(page.locator(".actor")).to_contain_text("Ada Lovelace")
        expect(page.get_by_role("link", name="ada-lovelace, alpha")).to_be_visible()
        assert stored(served, "/v1/dms/ada-lovelace-alpha/messages") == ["psst"]


def test_the_menu_of_mentions_finds_and_inserts(browser: Browser) -> None:
    with serve() as served, visit(browser, served) as visitor, served.attached("alpha"), served.attached("beta"):
        page = visitor.open("/console/room/general")
        box = page.locator("#composer-text")
        box.press_sequentially("hi @")
        options = page.locator("[role=option]")
        expect(options).to_have_count(2)
        box.press_sequentially("BET")
        expect(options).to_have_count(1)
        expect(options).to_have_attribute("aria-selected", "true")
        expect(box).to_have_attribute("aria-activedescendant", "mention-0")
        box.press("Enter")
        expect(box).to_have_value("hi @beta ")
        expect(options).to_have_count(0)
        box.press_sequentially("and @")
        box.press("ArrowDown")
        box.press("Tab")
        expect(box).to_have_value("hi @beta and @beta ")
        box.press_sequentially("@")
        box.press("Escape")
        expect(options).to_have_count(0)
        box.press("Enter")
        expect(page.locator(".mention")).to_have_count(2)


def test_what_could_not_be_sent_is_tried_again_and_said_once(browser: Browser) -> None:
    with serve() as served, visit(browser, served) as visitor:
        page = visitor.open("/console/room/general")

        def lose_the_answer(route: Route) -> None:
            route.fetch()
            route.abort()

        page.route("**/v1/messages", lambda route: route.abort())
        write(page, "never left")
        failed = page.locator(".message.failed")
        expect(failed).to_contain_text("Not sent: the server is not reachable")
        page.unroute("**/v1/messages")
        page.route("**/v1/messages", lose_the_answer)
        failed.get_by_role("button", name="try again").click()
        expect(page.locator(".message:not(.pending)")).to_have_count(1)
        expect(page.locator(".message.pending")).to_have_count(0)
        assert texts(page) == ["never left"]
        assert stored(served) == ["never left"]


def test_a_refusal_is_shown_with_its_reason_and_can_be_discarded(browser: Browser) -> None:
    with serve() as served, visit(browser, served) as visitor:
        page = visitor.open("/console/room/general")
        refusal = {"code": "room_write_forbidden", "error": "not in this <b>room</b>"}
        page.route("**/v1/messages", lambda route: route.fulfill(status=403, json=refusal))
        write(page, "let me")
        expect(page.locator(".message.failed")).to_contain_text("not in this <b>room</b>")
        page.get_by_role("button", name="discard").click()
        expect(page.locator(".message")).to_have_count(0)


def test_a_double_enter_sends_once_and_shift_enter_is_a_line(browser: Browser) -> None:
    with serve() as served, visit(browser, served) as visitor:
        page = visitor.open("/console/room/general")
        box = page.locator("#composer-text")
        box.press_sequentially("one")
        box.press("Shift+Enter")
        box.press_sequentially("two")
        box.press("Enter")
        box.press("Enter")
        expect(page.locator(".message:not(.pending)")).to_have_count(1)
        assert stored(served) == ["one\ntwo"]


def test_every_conversation_keeps_its_draft(browser: Browser) -> None:
    with serve() as served, visit(browser, served) as visitor:
        page = visitor.open("/console/room/general")
        box = page.locator("#composer-text")
        box.fill("for general")
        page.get_by_role("link", name="Ops").click()
        expect(box).to_have_value("")
        box.fill("for ops")
        page.get_by_role("link", name="General").click()
        expect(box).to_have_value("for general")
        page.reload()
        expect(box).to_have_value("for general")
        box.press("Enter")
        expect(page.locator(".message:not(.pending)")).to_have_count(1)
        page.reload()
        expect(page.locator(".message")).to_have_count(1)
        expect(box).to_have_value("")


def test_markdown_is_shown_as_what_it_means(browser: Browser) -> None:
    text = "# Title\n**bold** *em* ~~gone~~ `a*b*`\n\n- one\n- two\n\n> said\n\n```py\nx = '<b>'\n```\n[here](https://example.com/a)"
    with serve() as served, visit(browser, served) as visitor:
        served.say(text)
        page = visitor.open("/console/room/general")
        body = page.locator(".message .text")
        for selector, shown in {
            ".heading": "Title", "strong": "bold", "em": "em", "s": "gone", "p code": "a*b*",
            "blockquote": "said", "pre code": "x = '<b>'", "a": "here",
        }.items():  # fmt: skip
            expect(body.locator(selector)).to_have_text(shown)
        expect(body.locator("li")).to_have_text(["one", "two"])
        link = body.locator("a")
        expect(link).to_have_attribute("rel", "noopener noreferrer")
        expect(body).to_contain_text("here (example.com)")  # where it really leads


def test_a_list_that_failed_to_load_says_so_and_is_tried_again(browser: Browser) -> None:
    with serve() as served, visit(browser, served) as visitor:
        served.say("there")
        page = visitor.open("/console/room/ops")
        page.route("**/v1/rooms/general/messages*", lambda route: route.abort())
        page.get_by_role("link", name="General").click()
        expect(page.get_by_role("alert")).to_contain_text("The server is not reachable")
        page.unroute("**/v1/rooms/general/messages*")
        page.get_by_role("button", name="try again").click()
        expect(page.locator(".message")).to_have_count(1)
        page.goto(f"{served.url}/console/room/nowhere")
        expect(page.get_by_text("There is no room nowhere that you may read.")).to_be_visible()
