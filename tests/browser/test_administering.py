"""What administrators change beside members: rooms and their end, agents that talk too much, pairings, documents."""

import re

import attrs
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from moltnet.config.settings import PairingSettings
from tests.browser.console import serve, visit, with_tokens
from tests.fakes.http_client import HttpClient, bearer
from tests.fakes.network import secret_of

pytestmark = pytest.mark.slow  # a real browser


def confirm(page: Page, label: str) -> None:
    page.get_by_role("dialog").get_by_role("button", name=label, exact=True).click()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_room_gets_another_name_and_other_policies_before_all_eyes(browser: Browser) -> None:
    with serve(with_tokens()) as served, visit(browser, served) as visitor, visit(browser, served) as watcher:
        page = visitor.sign_in("ops").open("/console/admin?room=general")
        elsewhere = watcher.sign_in("watcher").open("/console/room/general")
        panel = page.get_by_role("region", name="General")
        panel.get_by_label("room's name").fill("Plaza")
        panel.get_by_label("read by").select_option("public")
        panel.get_by_label("written by").select_option("operators")
        panel.get_by_role("button", name="save").click()
        expect(page.get_by_role("region", name="Plaza")).to_be_visible()
        expect(elsewhere.get_by_role("heading", name="Plaza")).to_be_visible()
        expect(elsewhere.locator(".head")).to_contain_text("public")
        page.reload()
        panel = page.get_by_role("region", name="Plaza")
        expect(panel.get_by_label("written by")).to_have_value("operators")
        expect(panel.locator(".members li")).to_have_count(2)  # they stay


def test_a_room_that_was_removed_is_restored_with_what_was_said(browser: Browser) -> None:
    with serve(with_tokens()) as served, visit(browser, served) as visitor:
        served.say("before the end")
        page = visitor.sign_in("ops").open("/console/admin?room=general")
        removed = page.get_by_role("region", name="removed rooms")
        expect(removed).to_contain_text("None.")
        page.get_by_role("button", name="remove the room…").click()
        confirm(page, "remove")
        expect(removed.locator("li")).to_contain_text("General")
        removed.get_by_role("button", name="Restore general").click()
        page.get_by_role("dialog").get_by_label("members, by commas").fill("alpha, beta")
        confirm(page, "restore")
        expect(page).to_have_url(re.compile("room=general$"))
        expect(page.locator(".members li")).to_have_count(2)
        page.get_by_role("navigation", name="Conversations").get_by_role("link", name="General").click()
        expect(page.locator(".message")).to_contain_text("before the end")


def test_an_agent_that_talks_too_much_is_muted_for_a_while(browser: Browser) -> None:
    with serve(with_tokens()) as served, visit(browser, served) as visitor:
        with served.attached("alpha"):
            pass

        async def talk() -> int:
            said = {"target": {"kind": "room", "room_id": "general"}, "from": {"type": "agent", "id": "alpha"}}
            said["parts"] = [{"kind": "text", "text": "and another thing"}]  # type: ignore[assignment]
            client = HttpClient(served.url)
            return (await client.request("POST", "/v1/messages", said, headers=bearer("alpha"))).status

        page = visitor.sign_in("ops").open("/console/agent/alpha")
        expect(page.get_by_text("just now").first).to_be_visible()  # seen, before this page was opened
        assert served.run(talk) == 202
        page.get_by_role("button", name="mute…").click()
        page.get_by_role("dialog").get_by_label("reason").fill("enough <b>now</b>")
        page.get_by_label("minutes").fill("30")
        confirm(page, "mute")
        expect(page.get_by_role("note")).to_contain_text("enough <b>now</b>")
        expect(page.get_by_role("note")).to_contain_text("by token:ops")
        assert served.run(talk) == 403
        page.get_by_role("link", name="agents").click()
        expect(page.get_by_role("row").filter(has_text="alpha")).to_contain_text("muted")
        page.reload()
        page.get_by_role("table").get_by_role("link", name="alpha", exact=True).click()
        page.get_by_role("button", name="unmute…").click()
        confirm(page, "unmute")
        expect(page.get_by_role("button", name="mute…", exact=True)).to_be_visible()
        assert served.run(talk) == 202


def test_a_pairing_rests_and_goes_on(browser: Browser) -> None:
    pairing = PairingSettings("partner", "http://127.0.0.1:9", "elsewhere", "Elsewhere")
    with serve(attrs.evolve(with_tokens(), pairings=(pairing,))) as served, visit(browser, served) as visitor:
        page = visitor.sign_in("ops").open("/console/pairing/partner")
        page.get_by_role("button", name="disable…").click()
        confirm(page, "disable")
        expect(page.locator(".chip.state").first).to_have_text("disabled")
        page.reload()
        page.get_by_role("button", name="enable…").click()
        confirm(page, "enable")
        expect(page.get_by_role("button", name="disable…")).to_be_visible()


def test_a_document_is_previewed_and_applied(browser: Browser) -> None:
    with serve(with_tokens()) as served, visit(browser, served) as visitor:
        page = visitor.sign_in("ops").open("/console/admin?part=configuration")
        rooms = page.get_by_role("navigation", name="Conversations")
        document = page.get_by_label("document, as JSON")
        document.fill("no JSON")
        page.get_by_role("button", name="preview").click()
        expect(page.get_by_role("alert")).to_contain_text("This is no JSON")
        document.fill('{"rooms": [{"id": "war-room", "name": "War <i>room</i>", "members": ["alpha"]}]}')
        page.get_by_role("button", name="preview").click()
        changes = page.get_by_role("list", name="Changes")
        expect(changes.get_by_role("listitem")).to_have_count(1)
        expect(changes).to_contain_text("war-room")
        expect(rooms).not_to_contain_text("War")
        page.get_by_role("button", name="apply…").click()
        page.get_by_role("dialog").get_by_role("button", name="apply", exact=True).click()
        expect(page.get_by_role("dialog")).to_contain_text("Done.")
        page.get_by_role("button", name="close").click()
        expect(rooms).to_contain_text("War <i>room</i>")
        page.get_by_role("button", name="preview").click()
        expect(page.get_by_text("Nothing would change.")).to_be_visible()


def test_tokens_of_the_file_are_listed_without_their_values(browser: Browser) -> None:
    with serve(with_tokens()) as served, visit(browser, served) as visitor:
        page = visitor.sign_in("ops").open("/console/admin")
        page.get_by_role("link", name="tokens").click()
        table = page.get_by_role("region", name="Tokens of the file")
        expect(table.get_by_role("row")).to_have_count(5)
        expect(table.get_by_role("row").filter(has_text="watcher")).to_contain_text("observe")
        expect(table.get_by_role("row").filter(has_text="beta")).to_contain_text("attach")
        for token_id in ("ops", "watcher", "alpha", "beta"):
            assert secret_of(token_id) not in page.content()


def test_who_may_only_look_sees_the_controls_and_why_they_rest(browser: Browser) -> None:
    pairing = PairingSettings("partner", "http://127.0.0.1:9", "elsewhere", "Elsewhere")
    with serve(attrs.evolve(with_tokens(), pairings=(pairing,))) as served, visit(browser, served) as visitor:
        page = visitor.sign_in("watcher").open("/console/admin?room=general")
        for button in ("save", "add", "create"):
            expect(page.get_by_role("button", name=button, exact=True)).to_be_disabled()
        for view, button in {
            "admin?room=general": "remove the room…",
            "admin?part=configuration": "read the file again…",
            "agent/alpha": "mute…",
            "pairing/partner": "disable…",
        }.items():
            page.goto(f"{served.url}/console/{view}")
            control = page.get_by_role("button", name=button)
            expect(control).to_have_attribute("aria-disabled", "true")
            expect(control).to_have_attribute("title", re.compile("scope admin"))
            control.click(force=True)
            expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_server_that_cannot_do_something_is_explained(browser: Browser) -> None:
    """A tab that was opened before its server went back to an older version."""
    unknown = {"code": "unknown_route", "error": "there is no such route"}

    def refuse(route: Route) -> None:
        route.fulfill(status=404, json=unknown)

    with serve() as served, visit(browser, served) as visitor:
        page = visitor.open("/console/")
        for pattern in ("**/v1/search?*", "**/v1/events?*", "**/v1/tokens?*"):
            page.route(pattern, refuse)
        for view in ("search?text=x", "events", "admin?part=tokens"):
            page.goto(f"{served.url}/console/{view}")
            expect(page.get_by_role("alert").first).to_contain_text("This server can't do that")
