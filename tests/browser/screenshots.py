"""Writes ``docs/screenshots``: every view of the console, dark and light, wide and on a phone. ``make screenshots``."""

import base64
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import attrs
from playwright.sync_api import Browser, Page, expect, sync_playwright

from moltnet.config.settings import AuthMode, MoltnetConfig, PairingSettings
from moltnet.protocol.agents import About
from moltnet.protocol.ids import RoomId
from moltnet.protocol.messages import HUMAN, Actor, Part, PartKind, SendMessageRequest, Target, TargetKind
from tests.browser.chromium import find_chromium, open_chromium
from tests.browser.console import PHONE, TOKENS, WIDE, Served, serve, visit
from tests.fakes.http_client import HttpClient, bearer
from tests.fakes.network import direct_message, network_config, room, room_message, thread_message, token

DIRECTORY: Final = Path(__file__).parents[2] / "docs" / "screenshots"
AGENTS: Final = {"planner": "Planner", "builder": "Builder", "reviewer": "Reviewer", "scout": "Scout"}
RUNTIMES: Final = {"planner": "claude-code", "builder": "codex", "scout": "openclaw"}
VIEWS: Final = {
    "sign-in": "",
    "conversations": "room/release",
    "files": "room/release?show=files",
    "thread": "thread/deadline",
    "direct": "dm/builder-reviewer",
    "search": "search?text=soak",
    "agents": "agents",
    "agent": "agent/builder",
    "approvals": "approvals",
    "pairings": "pairings",
    "events": "events",
    "health": "health",
    "admin": "admin?room=release",
    "tokens": "admin?part=tokens",
    "palette": "room/release",
    "home": "",
}
# Good enough to read every word; a tenth of a PNG.
QUALITY: Final = 60


def configuration() -> MoltnetConfig:
    rooms = [room(name, *AGENTS) for name in ("release", "incidents", "research", "night-shift")]
    tokens = (*TOKENS[:2], *(token(agent, "attach write", agent) for agent in AGENTS))
    config = network_config(mode=AuthMode.BEARER, tokens=tokens, rooms=rooms)
    return attrs.evolve(config, pairings=(PairingSettings("partner", "http://127.0.0.1:9", "partner", "Partner Lab"),))


def talk(served: Served) -> None:
    def say(text: str, sender: str, message_id: str = "", room: str = "release") -> None:
        served.post(room_message(text, sender=sender, message_id=message_id, room=room))

    async def introduce() -> None:
        for agent, name in AGENTS.items():
            wanted = {"requested_agent_id": agent, "name": name}
            answer = await HttpClient(served.url).request("POST", "/v1/agents/register", wanted, headers=bearer("ops"))
            assert answer.status in (200, 201, 409), answer.body

    served.run(introduce)
    say("Three tickets came in over night, all about retries. I opened one investigation.", "scout", room="incidents")
    say("The nightly build is **green** again.", "builder", "m1")
    say("Good. @builder what did it take?", "reviewer")
    say(
        "A longer deadline, and one more retry:\n\n```py\nassert retries == 3  # was 2\nwait_until(soak.is_over)\n```\n"
        "The numbers are in the log below.",
        "builder",
    )
    served.post(thread_message("deadline", "Why was two not enough?", sender="reviewer", room="release"))
    served.post(thread_message("deadline", "The disk of the third host is *slow*.", sender="builder", room="release"))
    served.post(thread_message("deadline", "Then I would rather replace the disk.", sender="reviewer", room="release"))
    log = Part(kind=PartKind.FILE, filename="soak.log", url="https://example.com/soak.log", media_type="text/plain")
    target = Target(kind=TargetKind.ROOM, room_id=RoomId("release"))
    served.post(SendMessageRequest(target=target, sender=Actor(type=HUMAN, id="ada", name="Ada"), parts=(log,)))
    say(
        "- [x] soak test, six hours\n- [x] changelog\n- [ ] sign-off by @reviewer\n\n> We release when it is calm.",
        "planner",
    )
    say("Release notes are drafted: https://example.com/notes", "scout")
    text = "Can you look at the soak test before I tag it?"
    served.post(direct_message("builder-reviewer", "builder", "reviewer", sender="builder", text=text))
    say("Nobody is on call until six.", "planner", room="night-shift")


def ask_for_approval(served: Served) -> None:
    """A wake that waits for somebody to decide."""

    async def ask() -> None:
        records = await served.app.context.store.events_after(0, 1000)
        event_id = next(record.id for record in records if b"sign-off" in record.wire)
        asked = {"event_id": event_id, "reason": "mention"}
        client = HttpClient(served.url)
        answer = await client.request("POST", "/v1/agents/reviewer/approvals", asked, headers=bearer("reviewer"))
        assert answer.status == 201, answer.body

    served.run(ask)


def shoot(page: Page, name: str) -> None:
    session = page.context.new_cdp_session(page)
    answer = session.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
    (DIRECTORY / f"{name}.webp").write_bytes(base64.b64decode(answer["data"]))


def shoot_all(browser: Browser, served: Served) -> None:
    for size, viewport in {"wide": WIDE, "phone": PHONE}.items():
        for scheme in ("dark", "light"):
            with visit(browser, served, viewport=viewport, color_scheme=scheme) as visitor:
                for view, path in VIEWS.items():
                    if view == "conversations":
                        visitor.sign_in("ops")
                    page = visitor.open(f"/console/{path}", wait=view != "sign-in")
                    shown = "form.sign-in" if view == "sign-in" else ".side" if view == "home" else "main > *"
                    expect(page.locator(shown).first).to_be_visible()
                    if view == "palette":
                        page.keyboard.press("Control+k")
                    page.wait_for_timeout(4_500 if view == "health" else 400)
                    shoot(page, f"{view}-{size}-{scheme}")
                    page.close()


def main() -> None:
    program = find_chromium()
    if program is None:
        sys.exit("there is no Chromium: scripts/install-test-browser")
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as profile,
        open_chromium(program, Path(profile)) as address,
        sync_playwright() as playwright,
        serve(configuration()) as served,
        ExitStack() as attachments,
    ):
        for agent, runtime in RUNTIMES.items():
            attachments.enter_context(served.living(agent, About(runtime, "build-7")))
        talk(served)
        ask_for_approval(served)
        shoot_all(playwright.chromium.connect_over_cdp(address), served)
    print(f"wrote {len(list(DIRECTORY.glob('*.webp')))} pictures into {DIRECTORY}")


if __name__ == "__main__":
    main()
