"""JSON Schemas as text and tables, for the page."""

from collections.abc import Iterator
from typing import Any, Final

import orjson

from moltnet.http.openapi.markup import Html, element, joined, paragraphs, prose, table
from moltnet.http.openapi.schemas import PREFIX, Schema

_WORDS: Final = {"array": "list", "null": "null"}


def link_to_schema(name: str) -> Html:
    return element("a", name, href=f"#schema-{name}")


def type_of(schema: Schema) -> Html:
    """A schema in a few words; named ones are links."""
    if "$ref" in schema:
        return link_to_schema(schema["$ref"].removeprefix(PREFIX))
    if "const" in schema:
        return element("code", _json(schema["const"]))
    if "enum" in schema:
        return _either([element("code", _json(value)) for value in schema["enum"]])
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return _either([type_of(option) for option in schema[key]])
    kinds = schema.get("type", "any JSON")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    return _either([_kind(kind, schema) for kind in kinds])


def _kind(kind: str, schema: Schema) -> Html:
    if kind == "array" and "items" in schema:
        return joined(["list of ", type_of(schema["items"])])
    return joined([_WORDS.get(kind, kind)])


def _either(options: list[Html]) -> Html:
    pieces: list[str] = []
    for number, option in enumerate(options):
        if number:
            pieces.append(" or " if number == len(options) - 1 else ", ")
        pieces.append(option)
    return joined(pieces)


def bounds_of(schema: Schema) -> Iterator[Html]:
    """What a value must keep to beside its type."""
    for least, most, unit in (
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " entries"),
        ("minimum", "maximum", ""),
    ):
        low, high = schema.get(least), schema.get(most)
        if low is not None and high is not None:
            yield joined([f"{low} to {high}{unit}"])
        elif high is not None:
            yield joined([f"at most {high}{unit}"])
        elif low == 1 and unit:
            yield joined(["not empty"])
        elif low is not None:
            yield joined([f"at least {low}{unit}"])
    if schema.get("uniqueItems"):
        yield joined(["all different"])
    if "default" in schema:
        yield joined(["default ", element("code", _json(schema["default"]))])
    if "pattern" in schema:
        yield element("code", schema["pattern"], class_="pattern")


def described(schema: Schema) -> Html:
    """The description and the bounds."""
    pieces: list[str] = [prose(schema["description"])] if schema.get("description") else []
    for bound in bounds_of(schema):
        pieces += [" " if pieces else "", element("span", bound, class_="bound")]
    return joined(pieces)


def fields(schema: Schema) -> Html:
    """The keys of an object."""
    required = schema.get("required", ())
    return table(
        ("Key", "Type", "Meaning"),
        (
            (
                joined([element("code", key), *([Html(" "), element("em", "required")] if key in required else [])]),
                type_of(value),
                described(value),
            )
            for key, value in schema["properties"].items()
        ),
    )


def named_schema(name: str, schema: Schema) -> Html:
    """A component: what it is, and its keys, its variants or its bounds."""
    pieces: list[str] = [element("h3", name)]
    if schema.get("description"):
        pieces.append(paragraphs(schema["description"]))
    if "properties" in schema:
        pieces.append(fields(schema))
    elif "oneOf" in schema:
        pieces.append(_variants(schema))
    else:
        bounds = [element("span", bound, class_="bound") for bound in bounds_of(schema)]
        pieces.append(element("p", type_of(schema), " ", joined(bounds)))
    return element("section", *pieces, id=f"schema-{name}", class_="schema")


def _variants(schema: Schema) -> Html:
    discriminator = schema["discriminator"]
    rows = (
        (element("code", _json(value)), link_to_schema(reference.removeprefix(PREFIX)))
        for value, reference in discriminator["mapping"].items()
    )
    return table((discriminator["propertyName"], "Form"), rows)


def example_block(value: Any) -> Html:
    return element("pre", element("code", _json(value, pretty=True)), tabindex="0")


def _json(value: Any, *, pretty: bool = False) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 if pretty else None).decode()
