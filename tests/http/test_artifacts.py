"""``GET /v1/artifacts``: whose they are, who may read them, and their pages."""

import re

import attrs
import pytest

from moltnet.config.settings import AuthMode
from moltnet.protocol.messages import Part, PartKind, SendMessageRequest, Target, TargetKind
from moltnet.protocol.rooms import Visibility
from tests.fakes.credentials import static
from tests.fakes.http_client import HttpClient, http_client
from tests.fakes.network import (
    TestServer,
    direct_message,
    network_config,
    open_test_server,
    post,
    room,
    room_message,
    thread_message,
    token,
)

ADMIN = static("admin write", token_id="admin")
TOKENS = [
    token("alpha", "attach write", "alpha"),
    token("stranger", "attach write", "stranger"),
    token("observer", "observe"),
    token("writer", "write"),
]
BEARER = network_config(mode=AuthMode.BEARER, tokens=TOKENS, rooms=[room("general", "alpha", "beta")])
PICTURE = Part(kind=PartKind.IMAGE, media_type="image/png", url="https://a.test/a.png", filename="a.png", text="a cat")


async def post_picture(server: TestServer, request: SendMessageRequest) -> None:
    await post(server.app, attrs.evolve(request, parts=(*request.parts, PICTURE)), ADMIN)


async def fill(server: TestServer) -> None:
    """A picture in the room, in its thread, and between alpha and beta."""
    await post_picture(server, room_message(message_id="m1"))
    await post_picture(server, thread_message("t1", message_id="m2"))
    await post_picture(server, direct_message("d1", "alpha", "beta", message_id="m3"))


async def ids(client: HttpClient, query: str) -> list[str]:
    answer = await client.get(f"/v1/artifacts?{query}")
    assert answer.status == 200, answer.body
    return [artifact["id"] for artifact in answer.json()["artifacts"]]


async def test_the_whole_document() -> None:
    async with open_test_server() as server:
        await fill(server)
        answer = (await http_client(server).get("/v1/artifacts?thread_id=t1")).json()
        assert answer["page"] == {"has_more": False}
        (document,) = answer["artifacts"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", document.pop("created_at"))
        assert document == {
            "id": "art_m2_1",
            "network_id": "lab",
            "fqid": "molt://lab/artifacts/art_m2_1",
            "message_id": "m2",
            "target": {"kind": "thread", "room_id": "general", "thread_id": "t1", "parent_message_id": "m1"},
            "part_index": 1,
            "kind": "image",
            "media_type": "image/png",
            "filename": "a.png",
            "url": "https://a.test/a.png",
        }


@pytest.mark.parametrize(
    ("part", "listed"),
    [
        (Part(kind=PartKind.TEXT, text="words"), False),
        (Part(kind=PartKind.TEXT, text="words", media_type="text/markdown"), True),
        (Part(kind=PartKind.TEXT, filename="a.txt"), True),
        (Part(kind=PartKind.TEXT, url="https://a.test"), True),
        (Part(kind=PartKind.DATA, data={"a": 1}), True),
        (Part(kind=" text ", text="words"), False),
    ],
)
async def test_what_is_an_artifact(part: Part, listed: bool) -> None:
    """Weakness 7: blanks around the kind made an artifact of a text."""
    async with open_test_server() as server:
        target = Target(kind=TargetKind.ROOM, room_id=BEARER.rooms[0].id)
        request = SendMessageRequest(id="m1", target=target, sender=room_message().sender, parts=(part,))
        await post(server.app, request)
        assert await ids(http_client(server), "room_id=general") == (["art_m1_0"] if listed else [])


async def test_a_filter_is_needed_and_of_several_the_innermost_counts() -> None:
    async with open_test_server() as server:
        await fill(server)
        client = http_client(server)
        refused = await client.get("/v1/artifacts")
        assert (refused.status, refused.code) == (422, "invalid_field")
        assert await ids(client, "room_id=general") == ["art_m1_1", "art_m2_1"]
        assert await ids(client, "room_id=general&dm_id=d1") == ["art_m3_1"]
        assert await ids(client, "room_id=%20general%20&dm_id=d1&thread_id=t1") == ["art_m2_1"]
        for query, code in [
            ("room_id=nowhere&thread_id=t1", "unknown_room"),
            ("room_id=general&thread_id=t9", "unknown_thread"),
        ]:
            assert (await client.get(f"/v1/artifacts?{query}")).code == code


# By caller: - alpha stranger observer writer; a list of ids in short, or the status of a refusal.
READERS = [
    ("room_id=general", ["401", "m1 m2", "403", "m1 m2", "403"]),
    ("thread_id=t1", ["401", "m2", "403", "m2", "403"]),
    ("dm_id=d1", ["401", "m3", "", "m3", "403"]),
    ("dm_id=unknown", ["401", "", "", "", "403"]),
]


@pytest.mark.parametrize(("query", "expected"), READERS)
async def test_membership_grants_reading_and_nothing_tells_of_the_conversations_of_others(
    query: str, expected: list[str]
) -> None:
    async with open_test_server(BEARER) as server:
        await fill(server)
        for caller, wanted in zip(["", "alpha", "stranger", "observer", "writer"], expected, strict=True):
            answer = await http_client(server, caller).get(f"/v1/artifacts?{query}")
            if answer.status == 200:
                found = " ".join(artifact["message_id"] for artifact in answer.json()["artifacts"])
            else:
                found = str(answer.status)
            assert (caller, found) == (caller, wanted)


async def test_the_public_reads_those_of_public_rooms_only() -> None:
    rooms = [room("general", "alpha"), room("hall", "alpha", visibility=Visibility.PUBLIC)]
    config = network_config(mode=AuthMode.BEARER, tokens=TOKENS, rooms=rooms, public_read=True)
    async with open_test_server(config) as server:
        await post_picture(server, room_message(room="hall", message_id="m9"))
        await fill(server)
        client = http_client(server)
        assert await ids(client, "room_id=hall") == ["art_m9_1"]
        assert (await client.get("/v1/artifacts?room_id=general")).status == 403
        assert await ids(client, "dm_id=d1") == []


async def test_without_direct_messages_there_are_none_of_theirs() -> None:
    async with open_test_server(network_config(direct_messages=False)) as server:
        answer = await http_client(server).get("/v1/artifacts?dm_id=d1")
        assert (answer.status, answer.code) == (403, "direct_messages_disabled")


async def test_artifacts_of_a_removed_room_are_not_found() -> None:
    async with open_test_server() as server:
        await fill(server)
        client = http_client(server)
        await client.delete("/v1/rooms/general")
        for query in ("room_id=general", "thread_id=t1"):
            assert (await client.get(f"/v1/artifacts?{query}")).code == "unknown_room"


async def test_pages_lead_through_the_whole_list_in_both_directions() -> None:
    async with open_test_server() as server:
        client = http_client(server)
        for number in range(5):
            await post_picture(server, room_message(message_id=f"m{number}"))
        everything = [f"art_m{number}_1" for number in range(5)]
        seen: list[str] = []
        query = "&limit=2"
        while query:
            page = (await client.get(f"/v1/artifacts?room_id=general{query}")).json()
            seen = [artifact["id"] for artifact in page["artifacts"]] + seen
            cursor = page["page"].get("next_before")
            assert page["page"]["has_more"] is (cursor is not None)
            query = f"&limit=2&before={cursor}" if cursor else ""
        assert seen == everything
        after = (await client.get("/v1/artifacts?room_id=general&limit=2&after=art_m0_1")).json()
        assert [artifact["id"] for artifact in after["artifacts"]] == everything[1:3]
        assert after["page"] == {"has_more": True, "next_after": "art_m2_1"}


async def test_the_cursor_of_the_longest_message_id_is_taken() -> None:
    """Weakness 11: it exceeds the length of an id, and the reference refused what it had handed out."""
    async with open_test_server() as server:
        client = http_client(server)
        names = [f"{letter * 128}" for letter in "ab"]
        for name in names:
            await post_picture(server, room_message(message_id=name))
        page = (await client.get("/v1/artifacts?room_id=general&limit=1")).json()
        assert page["artifacts"][0]["id"] == f"art_{names[1]}_1"
        assert await ids(client, f"room_id=general&before={page['page']['next_before']}") == [f"art_{names[0]}_1"]


@pytest.mark.parametrize(
    "query",
    [
        "room_id=general&before=art_m3_1",
        "room_id=general&after=art_m1_0",
        "room_id=general&after=m1",
        "room_id=general&before=art_m1_1&after=art_m1_1",
        "room_id=general&before=art_" + "m" * 140 + "_1",
        "dm_id=unknown&before=art_m3_1",
        "room_id=nowhere&before=no%20id",
    ],
)
async def test_a_cursor_of_something_else_is_refused(query: str) -> None:
    async with open_test_server() as server:
        await fill(server)
        answer = await http_client(server).get(f"/v1/artifacts?{query}")
        assert (answer.status, answer.code) == (422, "invalid_cursor")


async def test_the_cursor_of_a_foreign_direct_conversation_tells_nothing() -> None:
    async with open_test_server(BEARER) as server:
        await fill(server)
        client = http_client(server, "stranger")
        for cursor in ("art_m3_1", "art_none_1"):
            assert (await client.get(f"/v1/artifacts?dm_id=d1&after={cursor}")).code == "invalid_cursor"
