"""What others wrote, wherever it is shown: it stays text. The page's policy would stop it too, and is never needed."""

from functools import partial
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from moltnet.protocol.ids import RoomId
from moltnet.protocol.messages import HUMAN, Actor, Part, PartKind, SendMessageRequest, Target, TargetKind
from tests.browser.console import Served, serve, visit
from tests.fakes.http_client import HttpClient

pytestmark = pytest.mark.slow  # a real browser

HOSTILE = [
    '<img src=x onerror="window.hacked=1">',
    "<script>window.hacked=1</script>",
    '"><svg/onload=window.hacked=1>',
    "[click](javascript:window.hacked=1)",
    '[click](https://example.com/"onmouseover=window.hacked=1)',
    "javascript:window.hacked=1",
    "<a href='javascript:window.hacked=1'>x</a>",
    "```<img src=x onerror=window.hacked=1>\n<img src=x onerror=window.hacked=1>\n```",
    "**<iframe srcdoc='<script>parent.hacked=1</script>'>**",
    "<@molt://lab/agents/<script>window.hacked=1</script>>",
    "{{constructor.constructor('window.hacked=1')()}} ${window.hacked=1}",
    "\u202egnp.exe\u2066 \x00\u0007 \ufeff",
    "&lt;img src=x onerror=window.hacked=1&gt;",
    "https://user:pass@evil.example/<script>window.hacked=1</script>?a='onclick=window.hacked=1",
]
NAME = "<img src=x onerror=window.hacked=1>"
ADDRESSES = ['https://evil.example/"><script>window.hacked=1</script>', "molt://x/y", "http://[::1]/'"]


def assert_harmless(page: Page) -> None:
    assert page.evaluate("window.hacked") is None
    page.mouse.move(400, 400)
    assert page.locator("#app :is(script, iframe, object, embed, base, link, meta, style, form[action])").count() == 0
    assert page.locator("#app img:not([src='/console/favicon.svg'])").count() == 0
    for address in page.locator("#app a").evaluate_all("(links) => links.map((link) => link.getAttribute('href'))"):
        assert address.startswith(("/console/", "https://", "http://", "#", "/install.md")), address
    handlers = "(all) => all.flatMap((e) => e.getAttributeNames().filter((name) => name.startsWith('on')))"
    assert page.locator("#app *").evaluate_all(handlers) == []


def said(*parts: str | Part) -> SendMessageRequest:
    return SendMessageRequest(
        target=Target(kind=TargetKind.ROOM, room_id=RoomId("evil")),
        sender=Actor(type=HUMAN, id="mallory-2", name=NAME),
        parts=tuple(Part(kind=PartKind.TEXT, text=part) if isinstance(part, str) else part for part in parts),
    )


def fill(served: Served) -> None:
    """Hostile texts in every field that somebody may choose."""

    async def requests() -> None:
        client = HttpClient(served.url)
        assert (await client.post("/v1/rooms", {"id": "evil", "name": NAME, "members": ["mallory"]})).status == 201
        mallory = {"requested_agent_id": "mallory", "name": NAME}
        assert (await client.post("/v1/agents/register", mallory)).status == 201

    served.run(requests)
    for text in HOSTILE:
        if "\x00" not in text:
            served.post(said(text))
    parts = [
        *(
            Part(kind=kind, url=url, filename=NAME, media_type=NAME)
            for kind in (PartKind.FILE, PartKind.IMAGE)
            for url in ADDRESSES
        ),
        *(Part(kind=PartKind.URL, url=url) for url in ADDRESSES),
        Part(kind=PartKind.DATA, data={NAME: [NAME, {"__proto__": NAME, "constructor": NAME}]}),
    ]
    served.post(said(*parts))


def answer_with(answer: object, route: Route) -> None:
    route.fulfill(json=answer)


def test_nothing_that_others_wrote_becomes_markup_in_any_view(browser: Browser) -> None:
    with serve() as served, visit(browser, served) as visitor:
        fill(served)
        page = visitor.open("/console/room/evil")
        expect(page.locator(".message").last).to_be_visible()
        assert_harmless(page)
        for text in ("<img src=x onerror=window.hacked=1>", "<script>window.hacked=1</script>"):
            assert text in page.inner_text("main")
        for view in (
            "room/evil?show=files",
            "search?text=hacked",
            "agents",
            "agent/mallory",
            "admin?room=evil",
            "admin?part=tokens",
            "admin?part=configuration",
            "events",
            "health",
            "approvals",
            "pairings",
        ):
            page.goto(f"{served.url}/console/{view}")
            expect(page.locator("main > *").first).to_be_visible()
            if view.startswith(("search", "events", "room")):
                expect(page.locator(".found li, .event, .file").nth(3)).to_be_visible()
            assert_harmless(page)
        served.post(said(HOSTILE[0]))
        page.goto(f"{served.url}/console/room/general")
        page.locator("#composer-text").press_sequentially("@mall")
        expect(page.locator("[role=option]")).to_contain_text(NAME)
        assert_harmless(page)
        page.keyboard.press("Escape")
        page.keyboard.press("Control+k")
        expect(page.get_by_role("combobox", name="Find")).to_be_focused()
        page.keyboard.type("img")
        expect(page.locator("[role=option]").first).to_contain_text(NAME)
        assert_harmless(page)


def test_nothing_in_an_address_becomes_markup(browser: Browser) -> None:
    hostile = "%3Cimg%20src%3Dx%20onerror%3Dwindow.hacked%3D1%3E"
    with serve() as served, visit(browser, served) as visitor:
        page = visitor.open()
        for view in ("room", "dm", "thread", "agent", "pairing", "search", "admin", "nonsense"):
            words = "message", "room", "with", "at", "show", "part", "text", "from", "dm", "since"
            page.goto(f"{served.url}/console/{view}/{hostile}?{'&'.join(f'{word}={hostile}' for word in words)}")
            expect(page.locator("main > *").first).to_be_attached()
            assert_harmless(page)
        page.goto(f"{served.url}/console/room/%E0%A4%A")  # no UTF-8
        expect(page.get_by_text("There is no room")).to_be_visible()


def test_a_hostile_server_can_only_say_texts(browser: Browser) -> None:
    """What a paired network, a refusal or a stored value says, whatever our own server would have checked."""
    with serve() as served, visit(browser, served) as visitor:
        page = visitor.open()
        pairing = {
            "id": "p",
            "remote_network_id": NAME,
            "remote_network_name": NAME,
            "remote_base_url": "javascript:window.hacked=1",
            "status": NAME,
            "diagnostics": {"checked_at": NAME, "message": NAME, "reason": NAME, "remote_version": NAME},
        }
        answers = {
            "**/v1/pairings?*": {"pairings": [pairing], "page": {"has_more": False}},
            "**/v1/pairings/p/network": {"id": NAME, "name": NAME, "version": NAME, "protocols": {"http": [NAME]}},
            "**/v1/pairings/p/rooms": {"rooms": [{"id": NAME}]},
            "**/v1/pairings/p/agents": {"agents": [{"id": NAME}]},
            "**/v1/pairings/p/dead-letters*": {
                "dead_letters": [{"message_id": NAME, "code": NAME, "message": NAME, "failed_at": NAME}]
            },
        }
        for pattern, answer in answers.items():
            page.route(pattern, partial(answer_with, answer))
        page.route("**/v1/messages", lambda route: route.fulfill(status=403, json={"error": NAME}))
        for view in ("pairings", "pairing/p"):
            page.goto(f"{served.url}/console/{view}")
            expect(page.get_by_text(NAME).first).to_be_visible()
            assert_harmless(page)
        page.goto(f"{served.url}/console/room/general")
        page.locator("#composer-text").fill("x")
        page.locator("#composer-text").press("Enter")
        expect(page.locator(".message.failed")).to_contain_text(NAME)
        assert_harmless(page)


def test_a_hostile_server_can_only_say_texts_in_lists_either(browser: Browser) -> None:
    """Found messages, past events, tokens, removed rooms, mutes and previews."""
    target = {"kind": "room", "room_id": NAME}
    sender = {"type": NAME, "id": NAME, "name": NAME, "fqid": NAME}
    message: dict[str, Any] = {"id": NAME, "target": target, "from": sender, "created_at": NAME, "mentions": [NAME]}
    message["parts"] = [{"kind": NAME, "text": f"{NAME} needle", "url": "javascript:window.hacked=1", "filename": NAME}]
    about = {"agent_id": NAME, "fqid": NAME, "reason": NAME, "error": NAME, "target": target, "message_id": NAME}
    past: list[tuple[str, dict[str, Any]]] = [
        ("message.created", {"message": message}),
        (NAME, {"agent": about}),
        ("pairing.updated", {"pairing": {"id": NAME, "status": NAME}}),
        ("stream.replay_gap", {"replay_gap": {"requested_event_id": NAME}}),
    ]
    events = [
        {"id": f"e{number}", "type": kind, "created_at": NAME, **rest} for number, (kind, rest) in enumerate(past)
    ]
    mute = {"since": NAME, "until": NAME, "reason": NAME, "by": NAME}
    agent: dict[str, Any] = {
        "id": "mallory",
        "network_id": "lab",
        "connected": False,
        "name": NAME,
        "runtime": NAME,
        "host": NAME,
    }
    agent |= {"fqid": "molt://lab/agents/mallory", "mute": mute, "last_seen_at": NAME, "rooms": [NAME]}
    room = {"id": NAME, "name": NAME, "visibility": NAME, "write_policy": NAME, "removed_at": NAME, "members": [NAME]}
    artifact = {"id": NAME, "message_id": NAME, "target": target, "kind": NAME, "created_at": NAME, "filename": NAME}
    page_of = {"has_more": False}
    answers = {
        "**/v1/search?*": {"messages": [message], "searched_to": NAME, "page": page_of},
        "**/v1/events?*": {"events": events, "page": page_of},
        "**/v1/tokens?*": {
            "tokens": [{"id": NAME, "scopes": [NAME], "agents": [NAME], "network": NAME}],
            "page": page_of,
        },
        "**/v1/agents?*": {"agents": [agent], "page": page_of},
        "**/v1/agents/molt*": agent,
        "**/v1/rooms?*": {"rooms": [room], "page": page_of},
        "**/v1/artifacts?*": {"artifacts": [artifact | {"url": "javascript:window.hacked=1"}], "page": page_of},
        "**/v1/apply?*": {"changes": [{"kind": NAME, "id": NAME, "action": NAME, "detail": NAME}]},
    }
    with serve() as served, visit(browser, served) as visitor:
        page = visitor.open()
        for pattern, answer in answers.items():
            page.route(pattern, partial(answer_with, answer))
        for view in ("search?text=needle", "events", "admin?part=tokens", "admin", "agents", "agent/mallory"):
            page.goto(f"{served.url}/console/{view}")
            expect(page.locator("main :not(option)").get_by_text(NAME).locator("visible=true").first).to_be_visible()
            assert_harmless(page)
        page.goto(f"{served.url}/console/room/general?show=files")
        expect(page.locator(".file")).to_contain_text(NAME)
        assert_harmless(page)
        page.goto(f"{served.url}/console/admin?part=configuration")
        page.get_by_label("document, as JSON").fill("{}")
        page.get_by_role("button", name="preview").click()
        expect(page.get_by_role("list", name="Changes")).to_contain_text(NAME)
        assert_harmless(page)
