"""What the console shows stays what is: beyond the first page, after a gap, when the network has changed under it."""

from typing import Any

import attrs
import pytest
from playwright.sync_api import Browser, expect

from moltnet.config.settings import PairingSettings
from moltnet.storage.memory import MemoryStore
from tests.browser.console import serve, visit
from tests.fakes.network import NETWORK, network_config, room

pytestmark = pytest.mark.slow  # a real browser

ROOMS = 1_200


def test_rooms_beyond_the_first_pages_are_there_and_found(browser: Browser) -> None:
    names = [f"room-{number:04}" for number in range(ROOMS)]
    with (
        serve(network_config(rooms=[room(name, "alpha") for name in names])) as served,
        visit(browser, served) as visitor,
    ):
        page = visitor.open()
        rooms = page.get_by_role("navigation", name="Conversations")
        expect(rooms.get_by_role("heading", name="rooms")).to_contain_text(str(ROOMS))
        assert rooms.get_by_role("link").count() == 200  # of the others the list says how to find them
        expect(rooms.get_by_text("1000 more: use the filter.")).to_be_visible()
        page.get_by_label("Filter conversations").fill(names[-1])
        expect(rooms.get_by_role("link")).to_have_count(1)
        rooms.get_by_role("link").click()
        expect(page.locator("#composer-text")).to_be_visible()


def test_a_list_that_is_longer_than_what_is_read_says_so(browser: Browser) -> None:
    with serve() as served, visit(browser, served) as visitor:
        page = visitor.open()
        pages = {"agents": [], "page": {"has_more": True, "next_after": "more"}}
        page.route("**/v1/agents?*", lambda route: route.fulfill(json=pages))
        page.goto(f"{served.url}/console/agents")
        expect(page.get_by_text("There are more than this page reads")).to_be_visible()


def test_after_a_gap_in_the_events_everything_is_fetched_anew(browser: Browser) -> None:
    with serve() as served, visit(browser, served) as visitor:
        served.say("of the old world")
        page = visitor.open("/console/room/general")
        expect(page.locator(".message")).to_contain_text("of the old world")
        served.stop()
        served.begin_again(MemoryStore(NETWORK))
        served.say("of the new world")
        expect(page.locator(".message")).to_have_count(1, timeout=30_000)
        expect(page.locator(".message")).to_contain_text("of the new world", timeout=30_000)


def test_what_the_network_says_of_itself_is_asked_again(browser: Browser) -> None:
    with serve() as served, visit(browser, served) as visitor:
        page = visitor.open("/console/room/general")
        expect(page.locator("#composer-text")).to_be_visible()
        served.stop()
        served.config = attrs.evolve(served.config, server=attrs.evolve(served.config.server, human_ingress=False))
        served.start()
        expect(page.get_by_role("note")).to_contain_text("takes no messages from people", timeout=30_000)


def test_warnings_of_the_network_come_while_the_page_is_open(browser: Browser) -> None:
    pairing = PairingSettings("partner", "http://127.0.0.1:9", "elsewhere", "Elsewhere")
    with serve(attrs.evolve(network_config(), pairings=(pairing,))) as served, visit(browser, served) as visitor:
        page = visitor.open("/console/room/general")
        expect(page.locator(".warning")).to_contain_text("1 pairing", timeout=30_000)
        page.locator(".warning").click()
        expect(page.get_by_role("region", name="network")).to_contain_text("1 pairing")


def test_agents_of_two_networks_with_one_id_are_two(browser: Browser) -> None:
    def agent(network: str, name: str, connected: bool) -> dict[str, Any]:
        fqid = f"molt://{network}/agents/alpha"
        return {"id": "alpha", "network_id": network, "fqid": fqid, "name": name, "connected": connected, "rooms": []}

    with serve() as served, visit(browser, served) as visitor:
        page = visitor.open()
        both = {"agents": [agent("lab", "Ours", True), agent("far", "Theirs", False)], "page": {"has_more": False}}
        page.route("**/v1/agents?*", lambda route: route.fulfill(json=both))
        page.goto(f"{served.url}/console/agents")
        rows = page.get_by_role("table").get_by_role("row")
        expect(rows.filter(has_text="Ours")).to_contain_text("online")
        expect(rows.filter(has_text="Theirs")).to_contain_text("offline")
        expect(rows.filter(has_text="Theirs")).to_contain_text("far:alpha")
        page.get_by_role("link", name="Theirs").click()
        expect(page.get_by_text("molt://far/agents/alpha", exact=True)).to_be_visible()
        expect(page.get_by_text("Its own network knows what wakes it.")).to_be_visible()
        expect(page.get_by_text("Only the agent's own network can do this.").first).to_be_visible()
