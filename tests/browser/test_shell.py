"""The frame of the console in a real browser: signing in, who may what, keys, sizes, colours."""

import re

import pytest
from playwright.sync_api import Browser, expect

from moltnet.protocol.rooms import Visibility
from tests.browser.console import PHONE, serious_problems, serve, visit, with_tokens
from tests.fakes.network import room, secret_of

pytestmark = pytest.mark.slow  # a real browser

VIEWS = [
    "room/general",
    "room/general?show=files",
    "search?text=hello",
    "agents",
    "agent/alpha",
    "approvals",
    "pairings",
    "events",
    "health",
    "admin?room=general",
    "admin?part=tokens",
    "admin?part=configuration",
]


def test_somebody_signs_in_sees_who_he_is_and_signs_out(browser: Browser) -> None:
    with serve(with_tokens()) as served, visit(browser, served) as visitor:
        served.say("for readers")
        page = visitor.open("/console/room/general", wait=False)
        token = page.get_by_label("token")
        expect(token).to_be_focused()
        expect(page.get_by_role("navigation", name="Conversations")).to_have_count(0)
        token.fill("not-a-token")
        token.press("Enter")
        expect(page.get_by_text("That token is not good on this network.")).to_be_visible()

        token.fill(secret_of("ops"))
        token.press("Enter")
        expect(page.locator(".message")).to_contain_text("for readers")
        expect(page).to_have_url(re.compile("/console/room/general$"))
        page.locator(".account summary").click()
        expect(page.locator(".account .menu-body")).to_contain_text("admin, observe, write")
        expect(page.locator(".account time")).to_have_attribute("datetime", re.compile(r"^20\d\d-"))

        page.get_by_role("button", name="sign out").click()
        expect(page.get_by_label("token")).to_be_visible()
        expect(page.get_by_text("for readers")).to_have_count(0)
        assert secret_of("ops") not in page.content()
        assert visitor.context.cookies() == []


def test_a_link_that_could_not_sign_in_says_why_once(browser: Browser) -> None:
    with serve(with_tokens()) as served, visit(browser, served) as visitor:
        page = visitor.open("/console/?sign_in=failed", wait=False)
        expect(page.get_by_text("That token is not good on this network.")).to_be_visible()
        expect(page).to_have_url(re.compile("/console/$"))


def test_a_session_that_ends_while_the_page_is_open_asks_for_a_token(browser: Browser) -> None:
    with serve(with_tokens()) as served, visit(browser, served) as visitor:
        page = visitor.sign_in("ops").open("/console/room/general")
        visitor.context.clear_cookies()
        served.stop()
        served.start()
        expect(page.get_by_label("token")).to_be_visible(timeout=30_000)


def test_a_session_that_may_only_look_is_told_why(browser: Browser) -> None:
    with serve(with_tokens()) as served, visit(browser, served) as visitor:
        served.say("look")
        page = visitor.sign_in("watcher").open("/console/room/general")
        expect(page.locator(".message")).to_have_count(1)
        expect(page.locator("#composer-text")).to_have_count(0)
        expect(page.get_by_role("note")).to_contain_text("needs a token with the scope write")

        page.get_by_role("link", name="admin").click()
        expect(page.get_by_role("note").first).to_contain_text("needs a token with the scope admin")
        expect(page.get_by_role("button", name="create")).to_be_disabled()
        page.get_by_role("link", name="agents").click()
        page.get_by_role("table").get_by_role("link", name="alpha", exact=True).click()
        remove = page.get_by_role("button", name="remove…")
        expect(remove).to_have_attribute("aria-disabled", "true")
        remove.click(force=True)
        expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_stranger_on_a_public_network_reads_what_is_public(browser: Browser) -> None:
    rooms = [room("general", "alpha", visibility=Visibility.PUBLIC), room("vault", "alpha")]
    with serve(with_tokens(rooms=rooms, public_read=True)) as served, visit(browser, served) as visitor:
        served.say("for all")
        served.say("for few", room="vault")
        page = visitor.open("/console/room/general")
        expect(page.locator(".message")).to_contain_text("for all")
        expect(page.get_by_role("note")).to_contain_text("sign in with a token that has the scope write")
        expect(page.get_by_role("link", name="Vault")).to_have_count(0)
        page.get_by_role("link", name="pairings").click()
        expect(page.get_by_role("note")).to_contain_text("takes a token")

        page.get_by_role("button", name="sign in").click()
        page.get_by_label("token").fill(secret_of("ops"))
        page.get_by_label("token").press("Enter")
        expect(page.get_by_role("link", name="Vault")).to_be_visible()


def test_the_keyboard_reaches_everything(browser: Browser) -> None:
    with serve() as served, visit(browser, served) as visitor:
        page = visitor.open("/console/room/general")
        page.keyboard.press("Control+k")
        expect(page.get_by_role("combobox", name="Find")).to_be_focused()
        page.keyboard.type("op")
        expect(page.locator("[role=option]")).to_have_count(1)
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile("/console/room/ops$"))
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(page.locator("main")).to_be_focused()

        page.keyboard.press("k")
        expect(page).to_have_url(re.compile("/console/room/general$"))
        page.keyboard.press("c")
        expect(page.locator("#composer-text")).to_be_focused()
        page.keyboard.type("?j")
        expect(page.locator("#composer-text")).to_have_value("?j")

        page.get_by_role("link", name="events").focus()
        page.keyboard.press("?")
        expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(page.get_by_role("link", name="events")).to_be_focused()
        page.keyboard.press("/")
        page.keyboard.type("general")
        expect(page.get_by_role("navigation", name="Conversations").get_by_role("link")).to_have_count(1)
        page.go_back()
        expect(page).to_have_url(re.compile("/console/room/ops$"))


def test_the_first_thing_that_tab_reaches_leads_to_the_content(browser: Browser) -> None:
    with serve() as served, visit(browser, served) as visitor:
        page = visitor.open("/console/agents")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()


def test_a_phone_shows_the_list_or_the_conversation(browser: Browser) -> None:
    with serve() as served, visit(browser, served, viewport=PHONE, has_touch=True) as visitor:
        served.say("a long line " * 40, f"{'unbroken' * 60}")
        page = visitor.open()
        rooms = page.get_by_role("navigation", name="Conversations")
        expect(rooms).to_be_visible()
        rooms.get_by_role("link", name="General").click()
        expect(page.locator(".message")).to_have_count(2)
        expect(rooms).to_be_hidden()
        expect(page.locator("#composer-text")).to_be_in_viewport()
        for view in VIEWS:
            page.goto(f"{served.url}/console/{view}")
            expect(page.locator("main > *").first).to_be_visible()
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= PHONE["width"], view
        page.goto(f"{served.url}/console/room/general")
        page.get_by_role("link", name="All conversations").click()
        expect(rooms).to_be_visible()


def test_colours_and_times_are_as_chosen_and_stay(browser: Browser) -> None:
    with serve() as served, visit(browser, served, color_scheme="dark", timezone_id="Asia/Tokyo") as visitor:
        served.say("when?")
        page = visitor.open("/console/room/general")
        ground = "getComputedStyle(document.body).backgroundColor"
        dark = page.evaluate(ground)
        there = page.locator(".message time").inner_text()
        page.locator(".account summary").click()
        page.get_by_label("colours").select_option("light")
        page.get_by_label("times in UTC").check()
        expect(page.locator(".message time")).not_to_have_text(there)
        light = page.evaluate(ground)
        assert light != dark
        page.reload()
        expect(page.locator(".message time")).not_to_have_text(there)
        assert page.evaluate(ground) == light


@pytest.mark.parametrize(("scheme", "rules"), [("dark", None), ("light", ["color-contrast"])])
def test_axe_finds_nothing_serious_in_any_view(browser: Browser, scheme: str, rules: list[str] | None) -> None:
    """Of the light colours it is only asked whether they can be told apart."""
    with serve() as served, visit(browser, served, color_scheme=scheme) as visitor, served.attached("alpha"):
        served.say("hello @beta, see `code` and https://example.com", "> quoted", "```\ncode\n```", "1. one")
        page = visitor.open()
        for view in ["", *VIEWS]:
            page.evaluate(
                "(to) => { history.pushState(null, '', to); dispatchEvent(new Event('popstate')); }", f"/console/{view}"
            )
            expect(
                page.locator(f".frame[data-view='{view.partition('/')[0].partition('?')[0] or 'home'}'] main > *").first
            ).to_be_visible()
            assert serious_problems(page, rules) == [], view
        page.keyboard.press("Control+k")
        expect(page.get_by_role("dialog")).to_be_visible()
        assert serious_problems(page, rules) == []


def test_axe_finds_nothing_serious_in_the_sign_in(browser: Browser) -> None:
    with serve(with_tokens()) as served, visit(browser, served) as visitor:
        page = visitor.open(wait=False)
        expect(page.get_by_label("token")).to_be_visible()
        assert serious_problems(page) == []


def test_the_first_view_needs_one_round_trip_of_assets(browser: Browser) -> None:
    """The page names one script and one style sheet, which need no other; the icon comes with them."""
    with serve() as served, visit(browser, served) as visitor:
        asked: list[str] = []
        visitor.context.on("request", lambda request: asked.append(request.url.removeprefix(served.url)))
        page = visitor.open()
        for view in VIEWS:
            page.evaluate(
                "(to) => { history.pushState(null, '', to); dispatchEvent(new Event('popstate')); }", f"/console/{view}"
            )
            expect(page.locator(".frame")).to_have_attribute("data-view", re.split("[/?]", view)[0])
        assets = [path for path in asked if path.startswith("/console/") and not path.endswith(".svg")]
        assert sorted(assets) == ["/console/", "/console/built/console.css", "/console/built/console.js"]
        assert page.evaluate("document.scripts.length") == 1
