"""The OpenAPI document as one page of HTML: no script, one style sheet of its own, nothing from elsewhere.

Made from the document alone, so the page says what the document says.
"""

import base64
import functools
import hashlib
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import orjson

from moltnet.http.openapi.document import make_document
from moltnet.http.openapi.markup import Html, element, joined, paragraphs, prose, table
from moltnet.http.openapi.operation import JSON
from moltnet.http.openapi.page_schemas import described, example_block, named_schema, type_of
from moltnet.http.openapi.schemas import Schema

_STYLE: Final = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
# Only this style sheet counts, and nothing runs, loads or is sent.
CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        f"style-src 'sha256-{_STYLE_HASH}'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_SERVER: Final = "http://127.0.0.1:8787"
_PLACES: Final = {"path": "in the path", "query": "query", "header": "header"}


@functools.cache
def make_page() -> bytes:
    """The page, in UTF-8. Made once in a process."""
    document = make_document()
    info = document["info"]
    chapters = [(tag, list(_operations_of(document, tag["name"]))) for tag in document["tags"]]
    main = element(
        "main",
        element(
            "header",
            element("h1", info["title"]),
            element(
                "p",
                "Version ",
                info["version"],
                " · ",
                element("a", "openapi.json", href="openapi.json"),
                class_="version",
            ),
            paragraphs(info["description"]),
        ),
        *(_chapter(document, tag, operations) for tag, operations in chapters),
        _schemas(document),
    )
    head = element(
        "head",
        Html('<meta charset="utf-8">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html('<meta name="color-scheme" content="light dark">'),
        element("title", info["title"]),
        element("style", Html(_STYLE)),
    )
    body = element("body", element("a", "To the text", href="#top", class_="skip"), _contents(chapters), main, id="top")
    return ("<!doctype html>\n" + element("html", head, body, lang="en") + "\n").encode()


def _operations_of(document: Schema, tag: str) -> Iterator[tuple[str, str, Schema]]:
    """Method, path and description of each operation of a chapter."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if tag in operation["tags"]:
                yield method.upper(), path, operation


def _contents(chapters: list[tuple[Schema, list[tuple[str, str, Schema]]]]) -> Html:
    lists = [
        element(
            "li",
            element("a", tag["name"], href=f"#{_anchor(tag['name'])}", class_="chapter"),
            element(
                "ol",
                *(
                    element(
                        "li",
                        element("a", _method(method), " ", operation["summary"], href=f"#{operation['operationId']}"),
                    )
                    for method, _, operation in operations
                ),
            ),
        )
        for tag, operations in chapters
    ]
    schemas = element("li", element("a", "Schemas", href="#schemas", class_="chapter"))
    listed = element("ol", *lists, schemas)
    return element(
        "nav",
        element("details", element("summary", "Contents"), listed),
        attributes={"aria-label": "Contents"},
    )


def _chapter(document: Schema, tag: Schema, operations: list[tuple[str, str, Schema]]) -> Html:
    return element(
        "section",
        element("h2", tag["name"]),
        paragraphs(tag["description"]),
        *(_operation(document, method, path, operation) for method, path, operation in operations),
        id=_anchor(tag["name"]),
    )


def _operation(document: Schema, method: str, path: str, operation: Schema) -> Html:
    pieces: list[str] = [
        element("h3", element("a", operation["summary"], href=f"#{operation['operationId']}")),
        element("p", _method(method), " ", element("code", path, class_="path"), class_="route"),
        _access(operation["security"]),
        paragraphs(operation.get("description", "")),
    ]
    parameters = [_resolved(document, parameter) for parameter in operation["parameters"]]
    if parameters:
        pieces += [element("h4", "Parameters"), table(("Name", "Type", "Meaning"), map(_parameter, parameters))]
    if "requestBody" in operation:
        pieces += _request(operation["requestBody"])
    pieces += [element("h4", "Answers"), table(("Status", "Body", "Meaning"), _answers(document, operation))]
    pieces += [
        element("h4", "Try it"),
        element("pre", element("code", _curl(method, path, operation, parameters)), tabindex="0"),
    ]
    for status, response in operation["responses"].items():
        for content in _resolved(document, response).get("content", {}).values():
            if "example" in content:
                pieces.append(_folded(f"Example of {status}", example_block(content["example"])))
    return element("article", *pieces, id=operation["operationId"])


def _access(security: list[dict[str, list[str]]]) -> Html:
    if not security:
        return element("p", "For everybody.", class_="access")
    scopes = next(each["bearer"] for each in security if "bearer" in each)
    named = joined(piece for scope in scopes for piece in (" ", element("code", scope)))
    public = ", or none if the network lets the public do this" if {} in security else ""
    return element("p", "A token with one of", named, public, ".", class_="access")


def _parameter(parameter: Schema) -> tuple[Html, ...]:
    name = joined([element("code", parameter["name"]), " ", element("span", _PLACES[parameter["in"]], class_="place")])
    return (
        name,
        type_of(parameter["schema"]),
        described({**parameter["schema"], "description": parameter["description"]}),
    )


def _request(body: Schema) -> Iterator[Html]:
    (content,) = body["content"].values()
    needed = "" if body["required"] else ", or none"
    yield element("h4", "Body")
    yield element("p", type_of(content["schema"]), " as JSON", needed, ".")
    for name, example in content.get("examples", {}).items():
        title = "Example" if name == "example" else f"Example: {name}"
        yield _folded(title, example_block(example["value"]))


def _answers(document: Schema, operation: Schema) -> Iterator[tuple[Html, Html, Html]]:
    for status, reference in operation["responses"].items():
        response = _resolved(document, reference)
        kind = "good" if status < "400" else "bad"
        codes: list[str] = []
        body: list[Html] = []
        for media, content in response.get("content", {}).items():
            schema = content["schema"]
            if "allOf" in schema:
                # All errors have the same body, so their codes tell more.
                codes = schema["allOf"][1]["properties"]["code"]["enum"]
            else:
                body.append(_body(media, schema))
        named = joined(piece for code in codes for piece in (" ", element("code", code, class_="code")))
        bodies = joined(piece for number, each in enumerate(body) for piece in ((", ", each) if number else (each,)))
        yield element("span", status, class_=f"status {kind}"), bodies, joined([prose(response["description"]), named])


def _body(media: str, schema: Schema) -> Html:
    if media == JSON:
        return type_of(schema)
    event = schema.get("properties", {}).get("data", {}).get("contentSchema")
    return joined([media, *([] if event is None else [" of ", type_of(event)])])


def _curl(method: str, path: str, operation: Schema, parameters: list[Schema]) -> str:
    """A line for a shell, with the examples of the document."""
    query = []
    for parameter in parameters:
        example = parameter.get("example")
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(str(example), safe=""))
        elif parameter["in"] == "query" and example is not None:
            query.append(f"{parameter['name']}={quote(str(example))}")
    words = ["curl", shlex.quote(_SERVER + path + ("?" if query else "") + "&".join(query))]
    streams = any("text/event-stream" in response.get("content", {}) for response in operation["responses"].values())
    words += ["-N"] if streams else []
    words += (
        ["-X", method] if method not in ("GET", "POST") or (method == "POST" and "requestBody" not in operation) else []
    )
    if operation["security"]:
        words += ["-H", '"Authorization: Bearer $TOKEN"']
    if "requestBody" in operation:
        (content,) = operation["requestBody"]["content"].values()
        example = next(iter(content.get("examples", {"": {"value": {}}}).values()))["value"]
        words += ["-d", shlex.quote(orjson.dumps(example, option=orjson.OPT_INDENT_2).decode())]
    return " ".join(words)


def _schemas(document: Schema) -> Html:
    schemas: dict[str, Any] = document["components"]["schemas"]
    return element(
        "section",
        element("h2", "Schemas"),
        *(named_schema(name, schema) for name, schema in schemas.items()),
        id="schemas",
    )


def _folded(title: str, content: Html) -> Html:
    return element("details", element("summary", title), content)


def _method(method: str) -> Html:
    return element("span", method, class_=f"method {method.lower()}")


def _anchor(tag: str) -> str:
    return f"chapter-{tag.lower().replace(' ', '-')}"


def _resolved(document: Schema, value: Schema) -> Schema:
    if "$ref" not in value:
        return value
    found: Any = document
    for name in value["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    resolved: Schema = found
    return resolved
