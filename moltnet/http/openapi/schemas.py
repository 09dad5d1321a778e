"""From the classes of ``moltnet.protocol`` to JSON Schema 2020-12, by the rules of its codec.

What an answer holds and what a request may hold differ: an answer leaves out what has no value, a request may also say
``null`` or nothing at all for it. So a class that is used both ways has two schemas. What a class alone does not say
(which text is an id, which key a request needs) stands in ``answer_shapes`` and ``request_shapes``.
"""

import inspect
import types
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from typing import Any, Final, NewType, get_args, get_origin, get_type_hints

import attrs

from moltnet.protocol.codec import ALWAYS, WIRE_NAME

Schema = dict[str, Any]
PREFIX: Final = "#/components/schemas/"
_SCALARS: Final[Mapping[type, str]] = {str: "string", bool: "boolean", int: "integer", float: "number"}


def ref(name: str) -> Schema:
    return {"$ref": PREFIX + name}


@attrs.frozen
class Variant:
    """What a class looks like when its field ``tag`` has one of ``values``: it has ``keys``, and maybe ``optional``."""

    name: str
    tag: str
    values: tuple[str, ...]
    keys: tuple[str, ...]
    optional: tuple[str, ...] = ()

    def has(self, key: str) -> bool:
        return key in self.keys or key in self.optional

    @property
    def tag_schema(self) -> Schema:
        first, *others = self.values
        return {"type": "string", "enum": [*self.values]} if others else {"type": "string", "const": first}


@attrs.frozen
class Shapes:
    """What is known of one direction beside the classes. Keys of the wire, not names of fields.

    ``fields`` is laid over what the annotation says; ``required`` are keys that a request needs, as its class does not
    tell; ``unions`` are classes with variants; ``said`` describes classes that do not do so themselves.
    """

    suffix: str
    requests: bool
    names: Mapping[Any, str]
    fields: Mapping[type, Mapping[str, Schema]]
    required: Mapping[type, tuple[str, ...]]
    unions: Mapping[type, tuple[Variant, ...]]
    said: Mapping[type, str]


@attrs.define(eq=False)
class Components:
    """Collects the schemas that are referred to by name."""

    schemas: dict[str, Schema] = attrs.field(factory=dict)
    _owners: dict[str, tuple[Any, bool]] = attrs.field(factory=dict)

    def of(self, kind: Any, shapes: Shapes) -> Schema:
        """The schema of an annotation: a reference, if it has a name."""
        if kind in shapes.names:
            return ref(shapes.names[kind])
        if isinstance(kind, NewType):
            return self.of(kind.__supertype__, shapes)
        if kind in _SCALARS:
            return {"type": _SCALARS[kind]}
        if isinstance(kind, type) and attrs.has(kind):
            return self._class(kind, shapes)
        if isinstance(kind, type) and issubclass(kind, StrEnum):
            return self._named(
                kind.__name__,
                (kind, False),
                lambda: {"type": "string", "enum": [*map(str, kind)], **_described(kind, shapes)},
            )
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is tuple:
            return {"type": "array", "items": self.of(arguments[0], shapes)}
        if origin is dict or kind is dict:
            return {"type": "object"}
        if origin is types.UnionType:
            (inner,) = (argument for argument in arguments if argument is not type(None))
            return self.of(inner, shapes)
        raise TypeError(f"no schema for {kind!r}")

    def _named(self, name: str, owner: tuple[Any, bool], make: Callable[[], Schema]) -> Schema:
        if name not in self.schemas:
            self._owners[name] = owner
            self.schemas[name] = {}  # a class that refers to itself finds its name taken
            self.schemas[name] = make()
        elif self._owners.get(name, owner) != owner:
            raise ValueError(f"two schemas of the name {name}")
        return ref(name)

    def _class(self, cls: type, shapes: Shapes) -> Schema:
        variants = shapes.unions.get(cls)
        # A class that only requests use keeps its name.
        name = cls.__name__ + ("" if cls.__name__.endswith("Request") else shapes.suffix)
        if variants is None:
            return self._named(name, (cls, shapes.requests), lambda: self._object(cls, shapes))
        return self._named(name, (cls, shapes.requests), lambda: self._union(cls, variants, shapes))

    def _union(self, cls: type, variants: tuple[Variant, ...], shapes: Shapes) -> Schema:
        options: list[Schema] = []
        mapping: dict[str, str] = {}
        for variant in variants:
            make = partial(self._object, cls, shapes, variant)
            option = self._named(variant.name + shapes.suffix, (variant, shapes.requests), make)
            options.append(option)
            mapping.update((value, option["$ref"]) for value in variant.values)
        discriminator = {"propertyName": variants[0].tag, "mapping": mapping}
        return {**_described(cls, shapes), "oneOf": options, "discriminator": discriminator}

    def _object(self, cls: type, shapes: Shapes, variant: Variant | None = None) -> Schema:
        hints = get_type_hints(cls)
        properties: dict[str, Schema] = {}
        required: list[str] = []
        for field in attrs.fields(cls):
            key = field.metadata.get(WIRE_NAME) or field.name
            belongs = variant is None or variant.has(key)
            if not belongs and not shapes.requests:
                continue
            schema = self.of(hints[field.name], shapes)
            if belongs:  # what does not is read and ignored in a request, so only its type counts
                schema = _laid_over(schema, shapes.fields.get(cls, {}).get(key, {}))
            if variant is not None and key == variant.tag:
                schema = variant.tag_schema
            if _is_required(cls, field, key, shapes, variant):
                required.append(key)
            else:
                schema = _or_null(schema) if shapes.requests else _never_empty(schema, field.default)
            properties[key] = schema
        described = _described(cls, shapes) if variant is None else {}
        # A body that is ``null`` is read as ``{}``.
        kind = ["object", "null"] if shapes.requests and not required else "object"
        needed = {"required": required} if required else {}
        return {**described, "type": kind, "properties": properties, **needed}


def _is_required(cls: type, field: "attrs.Attribute[Any]", key: str, shapes: Shapes, variant: Variant | None) -> bool:
    if variant is not None and key in variant.keys:
        return True
    if shapes.requests:
        return key in shapes.required.get(cls, ())
    return field.default is attrs.NOTHING or bool(field.metadata.get(ALWAYS))


def _laid_over(schema: Schema, over: Schema) -> Schema:
    """``over`` counts; what tells the type goes if ``over`` tells it in another way."""
    if "$ref" in over or "enum" in over or "anyOf" in over:
        schema = {}
    if "items" in over and "items" in schema:
        over = {**over, "items": _laid_over(schema["items"], over["items"])}
    return {**schema, **over}


def _or_null(schema: Schema) -> Schema:
    """In a request ``null`` says as little as no key at all."""
    if "enum" in schema:
        return {**schema, "enum": [*schema["enum"], None]}
    if isinstance(schema.get("type"), str):
        return {**schema, "type": [schema["type"], "null"]}
    described = {key: value for key, value in schema.items() if key == "description"}
    rest = {key: value for key, value in schema.items() if key != "description"}
    return {**described, "anyOf": [rest, {"type": "null"}]}


def _never_empty(schema: Schema, default: object) -> Schema:
    """In an answer a key that is there does not have its default."""
    if default is False and schema.get("type") == "boolean":
        return {**schema, "const": True}
    if default == () and schema.get("type") == "array":
        return {"minItems": 1, **schema}
    if default == "" and schema.get("type") == "string":
        return {"minLength": 1, **schema}
    return schema


def _described(cls: type, shapes: Shapes) -> Schema:
    """The docstring, as Markdown, or what is said of the class."""
    text = shapes.said.get(cls) or " ".join(inspect.cleandoc(cls.__doc__ or "").replace("``", "`").split())
    return {"description": text} if text else {}
