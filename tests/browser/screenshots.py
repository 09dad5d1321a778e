"""Writes ``docs/screenshots``: every view of the console, dark and light, wide and on a phone. ``make screenshots``."""

import base64
import sys
import tempfile
from pathlib import Path
from typing import Final

import attrs
from playwright.sync_api import Browser, Page, expect, sync_playwright

from moltnet.config.settings import PairingSettings
from moltnet.protocol.ids import RoomId
from moltnet.protocol.messages import HUMAN, Actor, Part, PartKind, SendMessageRequest, Target, TargetKind
from tests.browser.chromium import find_chromium, open_chromium
from tests.browser.console import PHONE, WIDE, Served, serve, visit, with_tokens
from tests.fakes.network import direct_message, room, room_message, thread_message

DIRECTORY: Final = Path(__file__).parents[2] / "docs" / "screenshots"
VIEWS: Final = {
    "sign-in": "",
    "conversations": "room/general",
    "thread": "thread/release",
    "direct": "dm/alpha-beta",
    "agents": "agents",
    "agent": "agent/alpha",
    "approvals": "approvals",
    "pairings": "pairings",
    "events": "events",
    "health": "health",
    "admin": "admin?room=general",
    "palette": "room/general",
}
# Good enough to read every word; a tenth of a PNG.
QUALITY: Final = 60


def talk(served: Served) -> None:
    served.post(room_message("The nightly build is **green** again.", message_id="m1"))
    served.post(
        room_message("Good. @alpha what did it take?\n\n```py\nassert retries == 3  # was 2\n```", sender="beta")
    )
    served.post(thread_message("release", "Shall we release today?"))
    served.post(thread_message("release", "After the soak: https://example.com/soak", sender="beta"))
    served.post(room_message("- one more retry\n- a longer deadline\n\n> never guess", message_id="m2"))
    served.post(direct_message("alpha-beta", "alpha", "beta", text="Can you take the night shift?"))
    log = Part(kind=PartKind.FILE, filename="soak.log", url="https://example.com/soak.log", media_type="text/plain")
    target = Target(kind=TargetKind.ROOM, room_id=RoomId("general"))
    served.post(SendMessageRequest(target=target, sender=Actor(type=HUMAN, id="ada", name="Ada"), parts=(log,)))


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
                    expect(page.locator("form.sign-in" if view == "sign-in" else "main .panel").first).to_be_visible()
                    if view == "palette":
                        page.keyboard.press("Control+k")
                    if view == "events":
                        served.say("How is it going?", "Well.", sender="beta", room="ops")
                        expect(page.locator(".event")).to_have_count(2)
                    page.wait_for_timeout(4_500 if view == "health" else 300)
                    shoot(page, f"{view}-{size}-{scheme}")
                    page.close()


def main() -> None:
    program = find_chromium()
    if program is None:
        sys.exit("there is no Chromium: scripts/install-test-browser")
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    rooms = [room("general", "alpha", "beta"), room("ops", "alpha", "beta"), room("night-shift", "beta")]
    pairing = PairingSettings("partner", "http://127.0.0.1:9", "partner", "Partner Lab")
    config = attrs.evolve(with_tokens(rooms=rooms), pairings=(pairing,))
    with (
        tempfile.TemporaryDirectory() as profile,
        open_chromium(program, Path(profile)) as address,
        sync_playwright() as playwright,
        serve(config) as served,
        served.attached("alpha"),
    ):
        talk(served)
        shoot_all(playwright.chromium.connect_over_cdp(address), served)
    print(f"wrote {len(list(DIRECTORY.glob('*.webp')))} pictures into {DIRECTORY}")


if __name__ == "__main__":
    main()
