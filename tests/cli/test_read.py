"""`moltnet read`, `conversations` and `participants`: what is asked, and what is shown to programs and to people."""

from typing import Any

import pytest

from tests.cli.conftest import Run, Workspace, attachment
from tests.fakes.http_server import answer, open_scripted_server

WHEN = "2025-01-02T03:04:05Z"
READ = ("read", "--target", "room:general")


def message(id: str, text: str) -> dict[str, Any]:
    return {
        "id": id,
        "network_id": "net_a",
        "origin": {"network_id": "net_a", "message_id": id},
        "target": {"kind": "room", "room_id": "general"},
        "from": {
            "type": "agent",
            "id": "beta",
            "name": "Beta",
            "network_id": "net_a",
            "fqid": "molt://net_a/agents/beta",
        },
        "parts": [{"kind": "text", "text": text}],
        "created_at": WHEN,
    }


def room(id: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": id,
        "network_id": "net_a",
        "fqid": f"molt://net_a/rooms/{id}",
        "name": id.title(),
        "created_at": WHEN,
        "members": ["alpha", "net_b:beta"],
        "visibility": "private",
        "write_policy": "members",
        "access": {"can_read": True, "can_write": True, "reason": "private/members-write"},
    } | changes


DM = {
    "id": "ab",
    "network_id": "net_a",
    "fqid": "molt://net_a/dms/ab",
    "message_count": 2,
    "last_message_at": WHEN,
    "participant_ids": ["alpha", "beta"],
}
PAGE = {"has_more": False}


async def test_a_program_gets_the_page_as_json(run: Run, workspace: Workspace) -> None:
    page = {"messages": [message("m1", "<a> & ü")], "page": {"has_more": True, "next_before": "m1"}}
    async with open_scripted_server(answer(200, page)) as server:
        workspace.write(attachment(server.url))
        ran = await run(*READ)
    assert (ran.exit_code, ran.stderr) == (0, "")
    assert ran.json() == page
    assert ran.stdout.startswith('{\n  "messages": [\n    {\n      "id": "m1",\n')
    assert '"<a> & ü"' in ran.stdout
    assert server.requests[0].target == "/v1/rooms/general/messages?limit=20"


async def test_a_person_gets_lines(run: Run, workspace: Workspace) -> None:
    page = {"messages": [message("m1", "hello"), message("m2", "one\ntwo")], "page": {"has_more": True}}
    async with open_scripted_server(answer(200, page), answer(200, page)) as server:
        workspace.write(attachment(server.url))
        ran = await run(*READ, terminal=True)
        after = await run(*READ, "--after", "m0", terminal=True)
    first, second, third = ran.stdout.splitlines()
    assert first.endswith("Beta: hello")
    assert second.endswith("Beta: one")
    assert third == "    two"
    assert ran.stderr == "moltnet: there are more: --before m1\n"
    assert after.stderr == "moltnet: there are more: --after m2\n"


async def test_a_person_may_ask_for_json(run: Run, workspace: Workspace) -> None:
    page = {"messages": [], "page": PAGE}
    async with open_scripted_server(answer(200, page), answer(200, page)) as server:
        workspace.write(attachment(server.url))
        assert (await run(*READ, "--json", terminal=True)).json() == page
        assert (await run(*READ, terminal=True)).stderr == "moltnet: no messages\n"


@pytest.mark.parametrize(
    ("arguments", "request_target"),
    [
        (("--target", "dm:ab"), "/v1/dms/ab/messages?limit=20"),
        (("--target", "thread:general/t1", "--limit", "5"), "/v1/threads/t1/messages?limit=5"),
        (("--target", "room:general", "--limit", "100", "--before", "m9"), "/v1/rooms/general/messages?before=m9"),
        (("--target", "room:general", "--after", "m 1&x"), "/v1/rooms/general/messages?limit=20&after=m+1%26x"),
    ],
)
async def test_options_become_the_request(
    run: Run, workspace: Workspace, arguments: tuple[str, ...], request_target: str
) -> None:
    async with open_scripted_server(answer(200, {"messages": [], "page": PAGE})) as server:
        workspace.write(attachment(server.url))
        assert (await run("read", *arguments)).exit_code == 0
    assert server.requests[0].target == request_target


@pytest.mark.parametrize("options", [("--before", "a", "--after", "b"), ("--limit", "0"), ("--limit", "501")])
async def test_wrong_options_are_refused(run: Run, options: tuple[str, ...]) -> None:
    assert (await run(*READ, *options)).exit_code == 2


async def test_a_read_only_room_can_be_read(run: Run, workspace: Workspace) -> None:
    async with open_scripted_server(answer(200, {"messages": [], "page": PAGE})) as server:
        workspace.write(attachment(server.url, rooms=[{"id": "general", "wake": "all", "can_write": False}]))
        assert (await run(*READ)).exit_code == 0


async def test_a_room_that_is_not_attached_is_not_read(run: Run, workspace: Workspace) -> None:
    workspace.write(attachment("http://127.0.0.1:1"))
    ran = await run("read", "--target", "room:other")
    assert ran.exit_code == 2
    assert "moltnet connect … --rooms other" in ran.stderr


async def test_conversations_are_the_attached_rooms_of_all_pages_and_the_dms(run: Run, workspace: Workspace) -> None:
    replies = [
        answer(200, {"rooms": [room("zeta"), room("other")], "page": {"has_more": True, "next_after": "zeta"}}),
        answer(200, {"rooms": [room("general")], "page": {"has_more": True}}),
        answer(200, {"dms": [DM], "page": PAGE}),
    ]
    async with open_scripted_server(*replies) as server:
        workspace.write(attachment(server.url, rooms=[{"id": "general"}, {"id": "zeta"}]))
        ran = await run("conversations")
    assert ran.exit_code == 0
    assert [seen.target for seen in server.requests] == [
        "/v1/rooms?limit=500",
        "/v1/rooms?limit=500&after=zeta",
        "/v1/dms?limit=500",
    ]
    assert ran.json() == {
        "member_id": "alpha",
        "network_id": "net_a",
        "rooms": [room("general"), room("zeta")],
        "dms": [DM],
    }


async def test_conversations_for_people_fit_lines(run: Run, workspace: Workspace) -> None:
    read_only = room("general", access={"can_read": True, "can_write": False, "reason": "x"})
    dms = [DM, DM | {"id": "ac", "message_count": 1}]
    replies = answer(200, {"rooms": [read_only], "page": PAGE}), answer(200, {"dms": dms, "page": PAGE})
    async with open_scripted_server(*replies) as server:
        workspace.write(attachment(server.url))
        ran = await run("conversations", terminal=True)
    assert ran.stdout.splitlines() == [
        "room:general  General      read-only",
        "dm:ab         alpha, beta  2 messages",
        "dm:ac         alpha, beta  1 message",
    ]


async def test_rooms_are_shown_although_dms_are_forbidden(run: Run, workspace: Workspace) -> None:
    replies = answer(200, {"rooms": [room("general")], "page": PAGE}), answer(403, {"error": "forbidden"})
    async with open_scripted_server(*replies) as server:
        workspace.write(attachment(server.url))
        ran = await run("conversations")
    assert ran.exit_code == 0
    assert [entry["id"] for entry in ran.json()["rooms"]] == ["general"]
    assert "no direct conversations" in ran.stderr


async def test_pages_without_end_are_given_up(run: Run, workspace: Workspace) -> None:
    endless = answer(200, {"rooms": [room("general")], "page": {"has_more": True, "next_after": "general"}})
    async with open_scripted_server(endless, endless) as server:
        workspace.write(attachment(server.url, dms={"enabled": False}))
        assert (await run("conversations")).exit_code == 0


@pytest.mark.parametrize(("target", "body"), [("room:general", room("general")), ("dm:ab", DM)])
async def test_participants_are_the_whole_object_for_programs(
    run: Run, workspace: Workspace, target: str, body: dict[str, Any]
) -> None:
    async with open_scripted_server(answer(200, body)) as server:
        workspace.write(attachment(server.url))
        assert (await run("participants", "--target", target)).json() == body


async def test_participants_are_names_and_presence_for_people(run: Run, workspace: Workspace) -> None:
    agents = [
        {"id": "alpha", "network_id": "net_a", "name": "Alpha", "connected": True},
        {"id": "beta", "network_id": "net_b", "connected": False},
    ]
    replies = answer(200, room("general")), answer(200, {"agents": agents, "page": PAGE})
    async with open_scripted_server(*replies) as server:
        workspace.write(attachment(server.url))
        ran = await run("participants", "--target", "thread:general/t", terminal=True)
    assert ran.stdout == "alpha       Alpha  connected\nnet_b:beta\n"


async def test_participants_are_shown_without_presence_where_that_is_forbidden(run: Run, workspace: Workspace) -> None:
    async with open_scripted_server(answer(200, DM), answer(403)) as server:
        workspace.write(attachment(server.url))
        ran = await run("participants", "--target", "dm:ab", terminal=True)
    assert ran.stdout == "alpha\nbeta\n"
