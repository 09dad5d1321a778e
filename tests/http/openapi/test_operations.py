"""The table of operations against the routes that the server really has."""

import re

from werkzeug.routing import Map

from moltnet.asgi import ATTACH_PATH
from moltnet.http.api import make_api
from moltnet.http.openapi.operations import OPERATIONS
from tests.fakes.network import open_test_app


def _routes(url_map: Map) -> dict[tuple[str, str], bool]:
    """Method and path of every route, HEAD left out, and whether it takes HEAD too."""
    return {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)): "HEAD" in (rule.methods or ())
        for rule in url_map.iter_rules()
        for method in rule.methods or ()
        if method != "HEAD"
    }


async def test_every_route_is_described_and_every_description_has_a_route() -> None:
    async with open_test_app() as app:
        routes = _routes(make_api(app).url_map)
    described = {(operation.method, operation.path): operation for operation in OPERATIONS}
    assert {_renamed(route) for route in routes} == set(described)
    assert ("GET", ATTACH_PATH) in described


def _renamed(route: tuple[str, str]) -> tuple[str, str]:
    return route[0], route[1].replace("{direct_id}", "{dm_id}")


async def test_head_is_taken_where_get_is() -> None:
    async with open_test_app() as app:
        routes = _routes(make_api(app).url_map)
    assert {has_head for (method, _), has_head in routes.items() if method == "GET"} == {True}
    assert {has_head for (method, _), has_head in routes.items() if method != "GET"} == {False}


def test_names_of_operations_are_unique_and_camel_case() -> None:
    ids = [operation.id for operation in OPERATIONS]
    assert len(set(ids)) == len(ids)
    assert [id for id in ids if not re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", id)] == []


def test_links_lead_to_parameters_that_the_other_operation_has() -> None:
    parameters = {operation.id: {each.name for each in operation.parameters} for operation in OPERATIONS}
    for operation in OPERATIONS:
        for link in operation.links:
            assert set(link.parameters) <= parameters[link.to], (operation.id, link)


def test_parameters_of_the_path_are_those_that_it_names() -> None:
    for operation in OPERATIONS:
        named = set(re.findall(r"\{(\w+)\}", operation.path))
        assert named == {each.name for each in operation.parameters if each.place == "path"}, operation.id
