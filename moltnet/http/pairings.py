"""Pairings, and what their networks say of themselves: asked live, with this network's token, for who may see all."""

from collections.abc import Iterator
from contextlib import contextmanager

from quart import Blueprint, Response

from moltnet.app import App
from moltnet.config.settings import Scope
from moltnet.core import pairings
from moltnet.core.errors import Unreachable
from moltnet.core.pages import unknown_cursor
from moltnet.http.answers import json_answer
from moltnet.http.auth import Gate
from moltnet.http.parameters import page_request
from moltnet.http.rooms import READ
from moltnet.pairing.links import Link
from moltnet.pairing.remote import RemoteRefusedCursor, RemoteUnavailable
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.identity import member_problem
from moltnet.protocol.pages import PageRequest
from moltnet.storage.marks import Switch

_NO_PAGE = PageRequest()


def pairings_routes(app: App) -> Blueprint:
    routes = Blueprint("pairings", __name__)
    gate = Gate(app)
    context = app.context

    @routes.get("/v1/pairings")
    async def list_pairings() -> Response:
        gate.require(*READ)
        return json_answer(pairings.list_pairings(context, page_request()))

    @routes.get("/v1/pairings/<pairing_id>/network")
    async def remote_network(pairing_id: str) -> Response:
        gate.require(*READ)
        link = _link(app, pairing_id)
        with _asking(link):
            return json_answer(await link.check())

    @routes.get("/v1/pairings/<pairing_id>/rooms")
    async def remote_rooms(pairing_id: str) -> Response:
        gate.require(*READ)
        page = page_request()
        link = _link(app, pairing_id)
        with _asking(link, page):
            return json_answer(await link.rooms(page))

    @routes.get("/v1/pairings/<pairing_id>/agents")
    async def remote_agents(pairing_id: str) -> Response:
        gate.require(*READ)
        page = page_request(member_problem)
        link = _link(app, pairing_id)
        with _asking(link, page):
            return json_answer(await link.agents(page))

    @routes.post("/v1/pairings/<pairing_id>/enable")
    async def enable(pairing_id: str) -> Response:
        return await switch(pairing_id.strip(), enabled=True)

    @routes.post("/v1/pairings/<pairing_id>/disable")
    async def disable(pairing_id: str) -> Response:
        return await switch(pairing_id.strip(), enabled=False)

    async def switch(pairing_id: str, *, enabled: bool) -> Response:
        gate.require(Scope.ADMIN)
        declared = any(pairing.id == pairing_id and pairing.enabled for pairing in app.config.pairings)
        return json_answer(await pairings.switch_pairing(context, pairing_id, Switch(enabled, declared)))

    return routes


def _link(app: App, pairing_id: str) -> Link:
    link = app.links.get(pairing_id.strip())
    if link is None:
        raise pairings.unknown_pairing(pairing_id.strip())
    return link


@contextmanager
def _asking(link: Link, page: PageRequest = _NO_PAGE) -> Iterator[None]:
    """Tell of a failed call as a refusal of ours. Whoever may ask may know why: it may see everything here."""
    try:
        yield
    except RemoteRefusedCursor:
        raise unknown_cursor(page) from None
    except RemoteUnavailable as error:
        raise Unreachable(
            ErrorCode.PAIRING_UNREACHABLE, f'the network of pairing "{link.id}" can\'t be reached: {error.reason}'
        ) from None
