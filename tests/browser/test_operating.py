"""What operators do: approve, administer, look at agents, pairings, events and health."""

import re

import attrs
import pytest
from playwright.sync_api import Browser, expect

from moltnet.config.settings import PairingSettings
from moltnet.protocol.agents import About
from tests.browser.console import Served, serve, visit, with_tokens
from tests.fakes.attach_client import AttachClient
from tests.fakes.http_client import HttpClient, bearer
from tests.fakes.network import room_message

pytestmark = pytest.mark.slow  # a real browser


def ask_for_approval(served: Served, message_id: str) -> None:
    async def ask() -> None:
        client = HttpClient(served.url)
        records = await served.app.context.store.events_after(0, 1000)
        event_id = next(record.id for record in records if message_id.encode() in record.wire)
        asked = {"event_id": event_id, "reason": "mention"}
        answer = await client.request("POST", "/v1/agents/alpha/approvals", asked, headers=bearer("alpha"))
        assert answer.status == 201, answer.body

    served.run(ask)


def take(served: Served, agent: AttachClient) -> None:
    """Let an agent have its turn with the next message."""

    async def acknowledge() -> None:
        await agent.ack(await agent.next_of("message.created"))

    served.run(acknowledge)


def test_an_approval_comes_and_is_decided(browser: Browser) -> None:
    with serve(with_tokens()) as served, visit(browser, served) as visitor:
        page = visitor.sign_in("ops").open("/console/approvals")
        expect(page.get_by_text("Nothing waits for you.")).to_be_visible()
        for message_id in ("m1", "m2"):
            served.post(room_message(f"@alpha {message_id}", sender="beta", message_id=message_id))
            ask_for_approval(served, message_id)
        cards = page.locator(".card")
        expect(cards).to_have_count(2)
        expect(page.get_by_role("link", name="approvals").locator(".badge")).to_have_text("2")

        cards.first.get_by_role("button", name="approve…").click()
        page.get_by_label("note").fill("go ahead")
        page.get_by_role("dialog").get_by_role("button", name="approve").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(cards).to_have_count(1)
        expect(page.locator(".state.approved")).to_be_visible()
        expect(page.get_by_text("by token:ops")).to_be_visible()
        expect(page.get_by_text("go ahead")).to_be_visible()

        cards.first.get_by_role("button", name="deny…").click()
        expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(cards).to_have_count(1)
        cards.first.get_by_role("button", name="deny…").click()
        page.get_by_role("dialog").get_by_role("button", name="deny").click()
        expect(page.locator(".state.denied")).to_be_visible()
        expect(cards).to_have_count(0)


def test_an_administrator_makes_a_room_and_changes_its_members(browser: Browser) -> None:
    with serve(with_tokens()) as served, visit(browser, served) as visitor:
        page = visitor.sign_in("ops").open("/console/admin")
        form = page.get_by_role("region", name="new room")
        form.get_by_label("id").fill("general")
        form.get_by_role("button", name="create").click()
        expect(form.get_by_role("alert")).to_contain_text("general")
        form.get_by_label("id").fill("war-room")
        form.get_by_label("name").fill("War room")
        form.get_by_label("members, by commas").fill("alpha, beta")
        form.get_by_role("button", name="create").click()
        expect(page).to_have_url(re.compile("room=war-room$"))
        members = page.locator(".members li")
        expect(members).to_have_count(2)
        page.get_by_role("button", name="Remove alpha").click()
        expect(members).to_have_count(1)
        page.get_by_label("new member").fill("gamma")
        page.get_by_role("button", name="add").click()
        expect(members).to_have_count(2)
        expect(page.get_by_role("navigation", name="Conversations")).to_contain_text("War room")

        page.get_by_role("button", name="remove the room…").click()
        page.get_by_role("dialog").get_by_role("button", name="remove").click()
        expect(page.get_by_role("navigation", name="Conversations")).not_to_contain_text("War room")


def test_an_administrator_makes_a_new_token_and_removes_an_agent(browser: Browser) -> None:
    with serve(with_tokens()) as served, visit(browser, served) as visitor:

        async def register() -> None:
            client = HttpClient(served.url)
            luna = {"requested_agent_id": "luna", "name": "Luna"}
            answer = await client.request("POST", "/v1/agents/register", luna, headers=bearer("ops"))
            assert answer.status == 201, answer.body

        served.run(register)
        page = visitor.sign_in("ops").open("/console/agent/luna")
        page.get_by_role("button", name="new token…").click()
        page.get_by_role("dialog").get_by_role("button", name="make a new token").click()
        expect(page.locator(".secret")).to_have_text(re.compile("^magt_"))
        page.get_by_role("button", name="close").click()
        expect(page.locator(".secret")).to_have_count(0)
        page.get_by_role("button", name="remove…").click()
        page.get_by_role("dialog").get_by_role("button", name="remove").click()
        expect(page.get_by_text("There is no agent luna")).to_be_visible()
        page.get_by_role("link", name="agents").click()
        expect(page.get_by_role("table")).not_to_contain_text("Luna")


def test_a_refused_action_says_why(browser: Browser) -> None:
    with serve(with_tokens()) as served, visit(browser, served) as visitor:
        page = visitor.sign_in("ops").open("/console/agent/alpha")
        page.get_by_role("button", name="new token…").click()
        page.get_by_role("dialog").get_by_role("button", name="make a new token").click()
        expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("Not done:")


def test_presence_and_wakes_are_shown_as_they_happen(browser: Browser) -> None:
    with serve(with_tokens()) as served, visit(browser, served) as visitor:
        page = visitor.sign_in("ops").open("/console/agents")
        row = page.get_by_role("row").filter(has_text="alpha")
        expect(row).to_contain_text("offline")
        with served.attached("alpha") as alpha:
            expect(row).to_contain_text("online")
            page.get_by_role("link", name="General", exact=True).click()
            served.post(room_message("@alpha wake up", sender="beta", message_id="m1"))
            take(served, alpha)
            deliveries = page.locator(".deliveries")
            expect(deliveries.locator("summary")).to_have_text("1 of 1 woken")
            deliveries.locator("summary").click()
            expect(deliveries).to_contain_text("mention")
            page.get_by_role("link", name="alpha", exact=True).first.click()
            expect(page.get_by_role("region", name="wakes")).to_contain_text("delivered")
            page.reload()
            expect(page.get_by_role("region", name="wakes")).to_contain_text("delivered")
        expect(page.locator(".presence")).to_have_text("offline")


def test_what_runs_an_agent_and_where_is_shown_to_who_may_know(browser: Browser) -> None:
    with serve(with_tokens()) as served, visit(browser, served) as visitor:
        page = visitor.sign_in("ops").open("/console/agents")
        with served.living("alpha", About("codex", "build-7 <b>")):
            row = page.get_by_role("row").filter(has_text="alpha")
            expect(row).to_contain_text("codex · build-7 <b>")
            expect(row).to_contain_text("now")
            page.get_by_label("Filter agents").fill("CODEX")
            expect(page.get_by_role("row")).to_have_count(2)
        page.get_by_role("link", name="alpha", exact=True).click()
        facts = page.locator("main dl.facts")
        expect(facts).to_contain_text("codex")
        expect(facts).to_contain_text("just now")


def test_what_became_of_older_wakes_is_asked_for(browser: Browser) -> None:
    with serve(with_tokens()) as served, visit(browser, served) as visitor:
        with served.attached("alpha") as alpha:
            served.post(room_message("@alpha wake up", sender="beta", message_id="m1"))
            take(served, alpha)
        page = visitor.sign_in("ops").open("/console/room/general")
        page.locator(".deliveries summary").click()
        expect(page.locator(".deliveries")).to_contain_text("1 of 1 woken")


def test_a_pairing_that_is_out_of_reach_says_so(browser: Browser) -> None:

    pairing = PairingSettings("partner", "http://127.0.0.1:9", "elsewhere", "Elsewhere")
    with serve(attrs.evolve(with_tokens(), pairings=(pairing,))) as served, visit(browser, served) as visitor:
        page = visitor.sign_in("ops").open("/console/pairings")
        expect(page.locator(".card")).to_contain_text("0 waiting, 0 dead letters")
        page.get_by_role("link", name="Elsewhere").click()
        remote = page.get_by_role("region", name="the other network")
        expect(remote.get_by_role("alert")).to_be_visible()
        remote.get_by_role("button", name="test").click()
        expect(remote.get_by_role("alert")).to_be_visible()
        expect(page.get_by_text("has refused nothing for good")).to_be_visible()


def test_events_are_filtered_held_still_and_saved(browser: Browser) -> None:
    with serve() as served, visit(browser, served) as visitor:
        page = visitor.open("/console/events")
        events = page.locator(".event")
        expect(events).to_have_count(2)  # both rooms, from before this page
        page.get_by_label("Type of event").select_option("message.created")
        expect(page.get_by_text("No event fits.")).to_be_visible()
        served.say("apple", "pear")
        expect(events).to_have_count(2)
        page.get_by_label("Filter events").fill("APPLE")
        expect(events).to_have_count(1)
        page.get_by_label("Type of event").select_option("room.removed")
        expect(events).to_have_count(0)
        page.get_by_label("Filter events").fill("")
        page.get_by_label("Type of event").select_option("message.created")
        expect(events).to_have_count(2)
        page.get_by_role("button", name="pause").click()
        served.say("plum")
        expect(page.get_by_role("button", name="go on (1 new)")).to_be_visible()
        expect(events).to_have_count(2)
        with page.expect_download() as saving:
            page.get_by_role("button", name="save as JSON").click()
        assert saving.value.path().read_text().count('"message.created"') == 2
        page.get_by_role("button", name="go on").click()
        expect(events).to_have_count(3)


def test_events_of_the_past_come_from_the_server_page_by_page(browser: Browser) -> None:
    with serve() as served, visit(browser, served) as visitor:
        served.say(*(f"line {number}" for number in range(300)))
        served.say("from beta", sender="beta", room="ops")
        page = visitor.open("/console/events")
        expect(page.get_by_text("from beta")).to_be_in_viewport()
        assert page.locator(".event").count() < 120
        heading = page.get_by_role("heading", name="events")
        expect(heading).to_contain_text("200")
        page.locator(".scroller").evaluate("(list) => { list.scrollTop = 0; }")
        expect(heading).to_contain_text("303")
        page.get_by_label("Agent", exact=True).fill("beta")
        page.get_by_label("Agent", exact=True).press("Enter")
        expect(page.locator(".event")).to_have_count(1)
        page.get_by_label("Agent", exact=True).fill("")
        page.get_by_label("Room", exact=True).fill("ops")
        page.get_by_label("Room", exact=True).press("Enter")
        expect(page.locator(".event")).to_have_count(2)
        page.reload()
        expect(page.get_by_text("from beta")).to_be_in_viewport()  # nothing was lost with the page


def test_health_shows_what_the_server_counts(browser: Browser) -> None:
    with serve(with_tokens()) as served, visit(browser, served) as visitor:
        page = visitor.sign_in("ops").open("/console/health")
        served.say("one")
        memory = page.get_by_role("img", name=re.compile("^memory, MB: now [1-9]"))
        expect(memory).to_be_visible()
        expect(page.get_by_role("img", name=re.compile("^requests per second: now [0-9.]+"))).to_be_visible()
        expect(page.get_by_text("takes writes")).to_be_visible()


def test_health_without_the_right_to_look_says_so(browser: Browser) -> None:
    with serve(with_tokens()) as served, visit(browser, served) as visitor:
        page = visitor.sign_in("watcher").open("/console/health")
        expect(page.get_by_role("note")).to_contain_text("scope admin")
