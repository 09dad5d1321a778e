"""The console's files as the server sends them, and what can be known of the page without a browser."""

import hashlib
import json
import os
import re
from collections.abc import AsyncIterator, Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from moltnet.config.settings import AuthMode
from moltnet.http.console import CONTENT_SECURITY_POLICY, CONTENT_TYPES, DIRECTORY, load_assets
from moltnet.protocol.events import EventType
from scripts.console_bundle import BUILT, ESBUILD, build, first_line, sources
from tests.fakes.http_client import HttpAnswer, HttpClient, http_client
from tests.fakes.network import network_config, open_test_server, room

FILES = sorted(path.relative_to(DIRECTORY).as_posix() for path in DIRECTORY.rglob("*") if path.is_file())
# Those that we wrote. The libraries beside them are as their packages have them (`scripts/vendor-console`).
SCRIPTS = [name for name in FILES if name.endswith(".js") and not name.startswith(("vendor/", "built/"))]
VENDORED = DIRECTORY / "vendor"
SERVED = [
    *("built/console.css", "built/console.js", "favicon.svg", "index.html"),
    *("vendor/htm.LICENSE.txt", "vendor/preact.LICENSE.txt"),
]
INDEX = (DIRECTORY / "index.html").read_text()
# `scripts/vendor-console` makes these files again.
VENDORED_DIGESTS = {
    "hooks.js": "5c65ab263688d0805862fd0807c779af02c2799c44fda0873dfcb870d0da70a0",
    "htm.js": "ab33dd3f38059b9be4d5f5350128eefb2356639c4e0bbe9d9e8b3ba75847e9e4",
    "preact.js": "225d7a773766e6fb2cfcc45274fe41d2059f5782f3f2c4569aa5132a2d3a2902",
}
# Preact makes elements by them; they are not addresses.
NAMESPACES = {"http://www.w3.org/1998/Math/MathML", "http://www.w3.org/1999/xhtml", "http://www.w3.org/2000/svg"}
HOSTILE = "%3Cscript%3Ealert(1)%3C%2Fscript%3E"

# Every way to turn text into markup or into a program, but those that the policy of the page stops by itself.
SINKS = (
    "innerHTML",
    "InnerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "setHTML",
    "createContextualFragment",
    "DOMParser",
    "document.write",
    "srcdoc",
    "eval(",
    "Function(",
    "import(",
    "javascript:",
    "setAttribute",
    "cssText",
)


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    async with open_test_server() as server:
        yield http_client(server)


def assert_harmless(answer: HttpAnswer) -> None:
    headers = answer.headers
    assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == "no-cache"


def test_the_policy_lets_in_nothing_but_our_own_files() -> None:
    directives = dict(directive.split(" ", 1) for directive in CONTENT_SECURITY_POLICY.split("; "))
    assert directives.pop("default-src") == "'self'"
    assert directives.pop("require-trusted-types-for") == "'script'"
    assert set(directives.values()) == {"'none'"}
    assert {"object-src", "base-uri", "form-action", "frame-ancestors", "trusted-types"} == directives.keys()


@pytest.mark.parametrize("path", ["/", "/console", "/console?next=//evil.test"])
async def test_the_ways_to_the_console_lead_there_and_repeat_nothing(client: HttpClient, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status, answer.headers["location"], answer.body) == (307, "/console/", b"")
    assert_harmless(answer)


@pytest.mark.parametrize("name", SERVED)
async def test_every_file_is_served_with_its_type_and_a_tag(client: HttpClient, name: str) -> None:
    answer = await client.get(f"/console/{name}")
    assert answer.status == 200
    assert answer.body == (DIRECTORY / name).read_bytes()
    assert answer.headers["content-type"] == CONTENT_TYPES[f".{name.rpartition('.')[2]}"]
    assert_harmless(answer)

    again = await client.get(f"/console/{name}", if_none_match=answer.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    assert again.headers["etag"] == answer.headers["etag"]
    assert_harmless(again)

    other = await client.get(f"/console/{name}", if_none_match='"of-an-older-version"')
    assert (other.status, other.body) == (200, answer.body)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "room/general",
        "room/a.b%3Ac",
        "no-such-file.js",
        "app.js",
        "styles/theme.css",
        f"room/{HOSTILE}",
        f"{HOSTILE}",
        "room/x?q=%3Cb%3E",
    ],
)
async def test_every_other_path_below_is_the_page_itself(client: HttpClient, path: str) -> None:
    answer = await client.get(f"/console/{path}")
    assert (answer.status, answer.body) == (200, INDEX.encode())
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert_harmless(answer)


@pytest.mark.parametrize("path", ["../http/api.py", "%2e%2e/http/api.py", "..%2fasgi.py", "/etc/passwd", "%00", "."])
async def test_no_path_leads_out_of_the_directory(client: HttpClient, path: str) -> None:
    answer = await client.get(f"/console/{path}")
    assert (answer.status, answer.body == INDEX.encode()) in [(200, True), (404, False)]
    assert b"moltnet.app" not in answer.body


async def test_head_has_no_body_and_writing_is_refused(client: HttpClient) -> None:
    head = await client.request("HEAD", "/console/")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(INDEX.encode()))
    refused = await client.post("/console/", {})
    assert (refused.status, refused.code) == (405, "method_not_allowed")


async def test_other_unknown_paths_stay_unknown(client: HttpClient) -> None:
    for path in ("/v1/console", "/consoles", "/favicon.ico"):
        answer = await client.get(path)
        assert (answer.status, answer.code) == (404, "unknown_route")


async def test_a_network_that_asks_for_tokens_serves_the_page_and_nothing_to_show() -> None:
    async with open_test_server(network_config(mode=AuthMode.BEARER)) as server:
        client = http_client(server)
        assert (await client.get("/console/")).status == 200
        assert (await client.get("/v1/network")).status == 401
        assert (await client.get("/v1/rooms")).status == 401


async def test_a_hostile_name_reaches_the_page_as_data_only() -> None:
    name = '<img src=x onerror="alert(1)"></script><script>alert(1)</script>'
    async with open_test_server(network_config(rooms=[room("general"), room("hostile")])) as server:
        client = http_client(server)
        assert (await client.post("/v1/rooms", {"id": "evil", "name": name})).status == 201
        listed = await client.get("/v1/rooms")
        assert listed.headers["content-type"] == "application/json"
        assert listed.headers["x-content-type-options"] == "nosniff"
        assert name in [found["name"] for found in listed.json()["rooms"]]
        assert (await client.get("/console/room/evil")).body == INDEX.encode()


# ---- The files themselves --------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What an HTML file refers to, and what it runs by itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.ids: list[str] = []
        self.inline: list[str] = []
        self._tag = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag = tag
        for name, value in attrs:
            if name in ("src", "href", "action", "srcset", "data"):
                self.references.append(value or "")
            elif name == "id":
                self.ids.append(value or "")
            elif name == "style" or name.startswith("on"):
                self.inline.append(f"{tag} {name}")

    def handle_endtag(self, tag: str) -> None:
        self._tag = ""

    def handle_data(self, data: str) -> None:
        if self._tag in ("script", "style") and data.strip():
            self.inline.append(data)


PAGE = Page(INDEX)


def imports_of(script: str) -> Iterator[str]:
    return (found[1] for found in re.finditer(r'^import\b.*?\bfrom "([^"]+)";$', script, re.MULTILINE))


def test_the_page_refers_to_one_script_one_style_sheet_and_its_icon() -> None:
    """A browser asks for all of it at once, whatever the number of its connections."""
    documents = ["/install.md", "/llms.txt"]
    assert all(reference.startswith("/console/") for reference in PAGE.references if reference not in documents)
    local = [reference.removeprefix("/console/") for reference in PAGE.references if reference not in documents]
    assert sorted(local) == ["built/console.css", "built/console.js", "favicon.svg", "favicon.svg"]


def test_what_is_served_is_the_page_and_what_it_refers_to_with_its_licences() -> None:
    assert sorted(load_assets()) == SERVED


@pytest.mark.parametrize("kind", ["js", "css"])
def test_the_built_file_is_of_the_sources_as_they_are(kind: str) -> None:
    """If not: ``make console``."""
    built = (BUILT / f"console.{kind}").read_text()
    assert built.partition("\n")[0] == first_line(kind)
    inside = re.findall(r"^// (\S+\.js)$" if kind == "js" else r"^/\* (\S+\.css) \*/$", built, re.MULTILINE)
    assert sorted(inside) == [name for name in sources() if name.endswith(f".{kind}")]


@pytest.mark.slow
def test_building_again_gives_the_same_bytes(tmp_path: Path) -> None:
    if not ESBUILD.exists():
        assert "CI" not in os.environ, "CI must have esbuild: scripts/install-console-tools"
        pytest.skip("there is no esbuild: scripts/install-console-tools")
    build(tmp_path)
    built = {path.name: path.read_bytes() for path in BUILT.iterdir()}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == built


def test_the_page_runs_nothing_inline() -> None:
    assert PAGE.inline == []
    assert INDEX.count("<script") == 1


def test_the_ids_of_the_page_are_unique() -> None:
    assert len(set(PAGE.ids)) == len(PAGE.ids)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_imports_its_neighbours_only(name: str) -> None:
    script = (DIRECTORY / name).read_text()
    imported = [*imports_of(script), *re.findall(r'^export \{.*\} from "([^"]+)";$', script, re.MULTILINE)]
    assert len(imported) == len(re.findall(r"^(?:import\b|export \{.* from\b)", script, re.MULTILINE))
    assert all(neighbour.startswith(("./", "../")) for neighbour in imported)
    assert all((DIRECTORY / name).parent.joinpath(neighbour).resolve().is_file() for neighbour in imported)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_has_no_way_to_make_markup_of_text(name: str) -> None:
    script = (DIRECTORY / name).read_text()
    assert [sink for sink in SINKS if sink in script] == []


def test_the_built_script_has_none_but_those_of_the_libraries() -> None:
    libraries = "".join((VENDORED / name).read_text() for name in VENDORED_DIGESTS)
    built = (BUILT / "console.js").read_text()
    assert {sink: built.count(sink) for sink in SINKS} == {sink: libraries.count(sink) for sink in SINKS}


# An import may lead to the same floor or one below: what knows the page knows the state, and not the other way round.
FLOORS = ["vendor", "lib", "state", "parts", "views", ""]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_imports_nothing_from_above(name: str) -> None:
    script = DIRECTORY / name
    below = FLOORS.index(name.rpartition("/")[0])
    for neighbour in imports_of(script.read_text()):
        directory = script.parent.joinpath(neighbour).resolve().parent.relative_to(DIRECTORY.resolve()).as_posix()
        assert FLOORS.index("" if directory == "." else directory) <= below, neighbour


def test_the_libraries_name_their_licences_and_come_from_locked_packages() -> None:
    lock = json.loads((DIRECTORY.parent.parent / "scripts/console-vendor/package-lock.json").read_text())
    for package in ("preact", "htm"):
        locked = lock["packages"][f"node_modules/{package}"]
        assert locked["integrity"].startswith("sha512-")
        assert locked["license"] in ("MIT", "Apache-2.0")
        assert (VENDORED / f"{package}.LICENSE.txt").read_text().strip()


@pytest.mark.parametrize(("name", "digest"), sorted(VENDORED_DIGESTS.items()))
def test_a_library_is_as_its_package_has_it(name: str, digest: str) -> None:
    assert hashlib.sha256((VENDORED / name).read_bytes()).hexdigest() == digest


def test_nothing_is_loaded_from_elsewhere() -> None:
    for name in FILES:
        text = (DIRECTORY / name).read_text().replace('xmlns="http://www.w3.org/2000/svg"', "")
        if name.startswith("vendor/"):
            # Names of XML's namespaces, which nobody fetches, and of the licence.
            assert re.findall(r"url\(|@import|fetch\(|import\(|XMLHttpRequest|WebSocket", text) == [], name
            continue
        if name == "app.css":
            text = re.sub(r'^@import "\./styles/[\w-]+\.css";$', "", text, flags=re.MULTILINE)
        elsewhere = set(re.findall(r"https?://\w[^\s\"')]*|url\(|@import", text))
        assert elsewhere <= (NAMESPACES if name == "built/console.js" else set()), name


def test_the_events_that_the_page_listens_for_exist() -> None:
    listed = re.search(r"const EVENT_TYPES = \[(.*?)\];", (DIRECTORY / "lib/stream.js").read_text(), re.DOTALL)
    assert listed is not None
    types = re.findall(r'"([^"]+)"', listed[1])
    assert EventType.MESSAGE_CREATED in types
    assert sorted(types) == sorted(EventType)
