"""The page of the document: complete, harmless, and served as all documents are."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Final

import pytest

from moltnet.config.settings import AuthMode
from moltnet.http.openapi.document import make_document
from moltnet.http.openapi.markup import Html, element, paragraphs, prose, table
from moltnet.http.openapi.page import CONTENT_SECURITY_POLICY, make_page
from tests.fakes.http_client import http_client
from tests.fakes.network import network_config, open_test_server, token

_VOID: Final = frozenset({"meta", "br", "hr", "img", "link", "input"})


class Reader(HTMLParser):
    """What a page holds. Fails if an element is closed that is not open."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes.update(name for name, _ in attrs)
        values = dict(attrs)
        self.ids += [value] if (value := values.get("id")) else []
        self.links += [value] if (value := values.get("href")) else []
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read_page() -> Reader:
    return Reader(make_page().decode())


def test_every_operation_and_every_schema_has_its_place_and_every_link_leads_to_one() -> None:
    page, document = read_page(), make_document()
    assert len(set(page.ids)) == len(page.ids)
    operations = {operation["operationId"] for item in document["paths"].values() for operation in item.values()}
    schemas = {f"schema-{name}" for name in document["components"]["schemas"]}
    assert operations | schemas <= set(page.ids)
    assert {link for link in page.links if link != "openapi.json"} <= {f"#{id}" for id in page.ids}


def test_the_page_loads_and_runs_nothing() -> None:
    page = read_page()
    assert page.names.isdisjoint({"script", "link", "img", "iframe", "object", "embed", "form", "input", "base", "svg"})
    assert page.attributes.isdisjoint({"src", "srcset", "style", "action", "background"})
    assert [name for name in page.attributes if name.startswith("on")] == []
    style = re.search(r"<style>(.*?)</style>", make_page().decode(), re.DOTALL)
    assert style is not None
    assert re.search(r"url\(|@import|expression", style[1]) is None


def test_the_policy_lets_in_the_one_style_sheet() -> None:
    (style,) = re.findall(r"<style>(.*?)</style>", make_page().decode(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in CONTENT_SECURITY_POLICY
    assert CONTENT_SECURITY_POLICY.startswith("default-src 'none'; ")


@pytest.mark.parametrize("text", ["<script>", "a & b", '"quoted"', "`<b>`", "**<i>**"])
def test_no_text_becomes_markup(text: str) -> None:
    for written in (
        element("p", text, title=text),
        prose(text),
        paragraphs(f"{text}\n\n{text}"),
        table(("Name",), [(text,)]),
        element("p", f"{Html('<b>')}{text}"),
    ):
        reader = Reader(written)
        assert reader.names <= {"p", "code", "strong", "table", "thead", "tbody", "tr", "th", "td"}


@pytest.mark.parametrize(
    ("target", "media"), [("/docs", "text/html; charset=utf-8"), ("/openapi.json", "application/json")]
)
async def test_both_are_for_everybody_and_are_asked_for_again_cheaply(target: str, media: str) -> None:
    config = network_config(mode=AuthMode.BEARER, tokens=[token("admin", "admin")])
    async with open_test_server(config) as server:
        client = http_client(server)
        answer = await client.get(target)
        assert (answer.status, answer.headers["content-type"]) == (200, media)
        head = await client.request("HEAD", target)
        assert (head.status, head.body, head.headers["etag"]) == (200, b"", answer.headers["etag"])
        again = await client.get(target, If_None_Match=answer.headers["etag"])
        assert (again.status, again.body) == (304, b"")
        small = await client.get(target, Accept_Encoding="gzip")
        assert small.headers["content-encoding"] == "gzip"
        assert len(small.body) < len(answer.body) / 4


async def test_the_page_has_its_own_policy_and_the_document_that_of_all_answers() -> None:
    async with open_test_server() as server:
        page = await http_client(server).get("/docs")
        assert page.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        document = await http_client(server).get("/openapi.json")
        assert document.json() == make_document()
        assert "default-src 'none'" in document.headers["content-security-policy"]
