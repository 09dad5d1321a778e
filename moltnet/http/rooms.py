"""Rooms, their members, messages and threads."""

from quart import Blueprint, Response

from moltnet.app import App
from moltnet.config.settings import Scope
from moltnet.core import history, rooms
from moltnet.core.topology import list_viewer
from moltnet.http import hot
from moltnet.http.answers import json_answer, read_body, read_optional_body, response_of
from moltnet.http.auth import Gate
from moltnet.http.call import READ as READ
from moltnet.http.current import current_call
from moltnet.http.parameters import page_request
from moltnet.protocol.administration import RemovedKind, RemoveResult
from moltnet.protocol.rooms import CreateRoomRequest, RestoreRoomRequest, UpdateRoomMembersRequest, UpdateRoomRequest

LIST = (*READ, Scope.PAIR)


def rooms_routes(app: App) -> Blueprint:
    routes = Blueprint("rooms", __name__)
    gate = Gate(app)
    context = app.context

    @routes.get("/v1/rooms")
    async def list_rooms() -> Response:
        if current_call().args.get("removed", "").strip() == "true":
            gate.require(Scope.ADMIN)
            return json_answer(await rooms.list_removed_rooms(context, page_request()))
        claims, viewer = gate.reader(*LIST)
        viewer = list_viewer(context, claims, viewer)
        return json_answer(rooms.list_rooms(context, claims, viewer, page_request()))

    @routes.post("/v1/rooms")
    async def create_room() -> Response:
        gate.require(Scope.ADMIN)
        return json_answer(await rooms.create_room(context, await read_body(CreateRoomRequest)), 201)

    @routes.get("/v1/rooms/<room_id>")
    async def show_room(room_id: str) -> Response:
        claims, viewer = gate.reader(*READ)
        room = rooms.readable_room(context, room_id.strip(), viewer)
        return json_answer(rooms.with_access(context, room, claims, viewer))

    @routes.patch("/v1/rooms/<room_id>")
    async def update_room(room_id: str) -> Response:
        gate.require(Scope.ADMIN)
        return json_answer(await rooms.update_room(context, room_id.strip(), await read_body(UpdateRoomRequest)))

    @routes.delete("/v1/rooms/<room_id>")
    async def remove_room(room_id: str) -> Response:
        gate.require(Scope.ADMIN)
        room = await rooms.remove_room(context, room_id.strip())
        return json_answer(RemoveResult(RemovedKind.ROOM, room.id))

    @routes.post("/v1/rooms/<room_id>/restore")
    async def restore_room(room_id: str) -> Response:
        gate.require(Scope.ADMIN)
        wanted = await read_optional_body(RestoreRoomRequest)
        return json_answer(await rooms.restore_room(context, room_id.strip(), wanted))

    @routes.patch("/v1/rooms/<room_id>/members")
    async def update_members(room_id: str) -> Response:
        gate.require(Scope.ADMIN)
        return json_answer(
            await rooms.update_members(context, room_id.strip(), await read_body(UpdateRoomMembersRequest))
        )

    @routes.get("/v1/rooms/<room_id>/messages")
    async def room_messages(room_id: str) -> Response:
        return response_of(await hot.room_messages(current_call(), room_id))

    @routes.get("/v1/rooms/<room_id>/threads")
    async def room_threads(room_id: str) -> Response:
        _, viewer = gate.reader(*READ)
        return json_answer(await history.list_threads(context, room_id.strip(), viewer, page_request()))

    return routes
