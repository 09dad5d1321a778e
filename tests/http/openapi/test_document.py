"""The document itself: whole, true to the codec, with examples that are what they say."""

import functools
import json
import re
from collections.abc import Iterator
from typing import Any, Final

import attrs
import hypothesis
import jsonschema_rs
import orjson
import pytest
from hypothesis import strategies as st
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from moltnet import __version__
from moltnet.http.openapi.answer_shapes import ANSWERS
from moltnet.http.openapi.document import make_document
from moltnet.http.openapi.operation import Operation
from moltnet.http.openapi.operations import OPERATIONS
from moltnet.http.openapi.request_shapes import REQUESTS
from moltnet.http.openapi.schemas import Shapes
from moltnet.protocol.codec import WIRE_NAME, unstructure
from moltnet.protocol.errors import ErrorCode
from tests.protocol.wire_values import values_of

PREFIX: Final = "#/components/"
# Codes of refused attachments, of the parser, of the router, and those that are only reserved.
NOT_OF_AN_OPERATION: Final = {
    "agent_attached_elsewhere", "bad_request", "forbidden", "headers_too_large", "method_not_allowed", "not_found",
    "request_line_too_long", "too_many_connections", "unknown_route",
}  # fmt: skip
# What a value of the wire may be, beside its shape.
_VALUES: Final = frozenset(
    {"pattern", "format", "enum", "const", "minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum"}
)


def everything(value: Any) -> Iterator[Any]:
    yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from everything(inner)


def test_every_reference_leads_somewhere() -> None:
    document = make_document()
    references = {each["$ref"] for each in everything(document) if isinstance(each, dict) and "$ref" in each}
    known = {f"{PREFIX}{kind}/{name}" for kind, parts in document["components"].items() for name in parts}
    assert references - known == set()
    unused = {
        name for name in known - references if not name.startswith((f"{PREFIX}securitySchemes/", f"{PREFIX}headers/"))
    }
    mapped = {
        value for each in everything(document) if isinstance(each, dict) for value in each.get("mapping", {}).values()
    }
    of_no_operation = {f"{PREFIX}responses/{name}" for name in ("MethodNotAllowed", "UnknownRoute")}
    assert unused - mapped == of_no_operation


def test_the_document_is_openapi() -> None:
    assert [error.message for error in OPENAPI_31_VALIDATOR.iter_errors(make_document())] == []


def test_every_schema_is_one() -> None:
    for name, schema in make_document()["components"]["schemas"].items():
        assert jsonschema_rs.meta.is_valid({**schema, "$schema": "https://json-schema.org/draft/2020-12/schema"}), name


def test_the_document_says_whose_it_is_and_where() -> None:
    document = make_document()
    assert (document["openapi"], document["info"]["version"]) == ("3.1.0", __version__)
    assert document["servers"] == [{"url": "/"}]
    assert orjson.loads(orjson.dumps(document)) == document


def test_every_operation_can_refuse_and_names_its_codes() -> None:
    described: set[str] = set()
    for operation in OPERATIONS:
        refusals = operation.all_refusals()
        assert 500 in refusals
        described.update(code for codes in refusals.values() for code in codes)
    assert set(ErrorCode) - described == NOT_OF_AN_OPERATION - described


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
def test_each_status_has_the_codes_of_the_table(operation: Operation) -> None:
    document = make_document()
    responses = document["paths"][operation.path][operation.method.lower()]["responses"]
    written = {}
    for status, response in responses.items():
        if status >= "400":
            if "$ref" in response:  # refusals of many operations are written once
                response = document["components"]["responses"][response["$ref"].rpartition("/")[2]]
            narrowed = response["content"]["application/json"]["schema"]["allOf"][1]
            written[int(status)] = tuple(narrowed["properties"]["code"]["enum"])
    assert written == operation.all_refusals()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
def test_examples_are_valid(operation: Operation) -> None:
    document = make_document()
    written = document["paths"][operation.path][operation.method.lower()]
    contents = [content for answer in written["responses"].values() for content in answer.get("content", {}).values()]
    contents += written.get("requestBody", {}).get("content", {}).values()
    for content in contents:
        examples = [each["value"] for each in content.get("examples", {}).values()]
        examples += [content["example"]] if "example" in content else []
        for example in examples:
            check(document, content["schema"], example)
    for parameter in written["parameters"]:
        if "example" in parameter:
            check(document, parameter["schema"], parameter["example"])


def test_what_a_request_takes_is_shown() -> None:
    paths = make_document()["paths"]
    for operation in OPERATIONS:
        if operation.takes is not None:
            body = paths[operation.path][operation.method.lower()]["requestBody"]
            assert body["content"]["application/json"]["examples"], operation.id


def test_examples_of_components_are_valid() -> None:
    document = make_document()
    for schema in document["components"]["schemas"].values():
        for example in schema.get("examples", ()):
            check(document, schema, example)


def check(document: Any, schema: Any, value: Any) -> None:
    jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]}).validate(value)


@pytest.mark.parametrize("shapes", [ANSWERS, REQUESTS], ids=["answers", "requests"])
def test_what_is_said_of_a_class_is_said_of_keys_that_it_has(shapes: Shapes) -> None:
    for cls, said in (*shapes.fields.items(), *shapes.required.items()):
        keys = {field.metadata.get(WIRE_NAME) or field.name for field in attrs.fields(cls)}
        assert set(said) <= keys, cls
    for cls, variants in shapes.unions.items():
        keys = {field.metadata.get(WIRE_NAME) or field.name for field in attrs.fields(cls)}
        for variant in variants:
            assert {variant.tag, *variant.keys, *variant.optional} <= keys, variant


def bodies_of_answers() -> list[type]:
    bodies = [success.body for operation in OPERATIONS for success in operation.answers]
    return sorted({body for body in bodies if isinstance(body, type)}, key=lambda body: body.__name__)


@pytest.mark.parametrize("kind", bodies_of_answers(), ids=lambda kind: kind.__name__)
@hypothesis.given(data=st.data())
def test_whatever_the_codec_writes_has_the_shape_that_is_described(kind: type, data: st.DataObject) -> None:
    """Which keys are there, and of which type; what their texts may be is not looked at."""
    shape_of(kind.__name__).validate(unstructure(data.draw(values_of(kind))))


@functools.cache
def shape_of(name: str) -> jsonschema_rs.Validator:
    components = {"schemas": shapes_only()}
    return jsonschema_rs.Draft202012Validator({"$ref": f"{PREFIX}schemas/{name}", "components": components})


def shapes_only() -> Any:
    schemas = json.loads(json.dumps(make_document()["components"]["schemas"]))
    for schema in everything(schemas):
        if not isinstance(schema, dict):
            continue
        if "oneOf" in schema:
            schema.clear()  # told apart by a text
            continue
        for keyword in _VALUES & schema.keys():
            if not isinstance(schema[keyword], dict):  # a key of that name
                del schema[keyword]
        if "properties" in schema:
            schema["additionalProperties"] = False
    return schemas


def test_patterns_mean_the_same_to_other_readers() -> None:
    """No pattern needs what only one kind of regular expression has."""
    for schema in everything(make_document()):
        if isinstance(schema, dict) and isinstance(schema.get("pattern"), str):
            assert schema["pattern"].isascii()
            assert not re.search(r"\(\?[^:]|\\[ZzAQEpPu]", schema["pattern"]), schema["pattern"]
