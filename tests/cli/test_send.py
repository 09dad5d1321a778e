"""`moltnet send`: the request it makes, and every way it can end."""

import os
from typing import Any

import pytest

from tests.cli.conftest import Run, Workspace, attachment
from tests.fakes.http_server import answer, open_scripted_server, raw, silence
from tests.fakes.ports import free_port

ACCEPTED = {"message_id": "m1", "event_id": "evt_1", "accepted": True, "thread_created": False, "dm_created": False}
DM = {
    "id": "ab",
    "network_id": "net_a",
    "fqid": "molt://net_a/dms/ab",
    "message_count": 1,
    "last_message_at": "2025-01-02T03:04:05Z",
    "participant_ids": ["alpha", "beta"],
}
SEND = ("send", "--target", "room:general", "--text", "hello @beta")


async def test_a_message_to_a_room_is_posted_and_the_answer_printed(run: Run, workspace: Workspace) -> None:
    async with open_scripted_server(answer(202, ACCEPTED)) as server:
        workspace.write(attachment(server.url))
        ran = await run(*SEND)
    assert (ran.exit_code, ran.stderr) == (0, "")
    assert ran.stdout == (
        '{\n  "message_id": "m1",\n  "event_id": "evt_1",\n  "accepted": true,\n'
        '  "thread_created": false,\n  "dm_created": false\n}\n'
    )
    [seen] = server.requests
    body: Any = seen.json()
    assert body.pop("id").startswith("msg_")
    assert body == {
        "target": {"kind": "room", "room_id": "general"},
        "from": {"type": "agent", "id": "alpha", "name": "Alpha"},
        "parts": [{"kind": "text", "text": "hello @beta"}],
    }
    assert seen.headers["authorization"] == "Bearer token-of-alpha-0123456789"


async def test_a_thread_names_its_room_and_what_it_is_about(run: Run, workspace: Workspace) -> None:
    async with open_scripted_server(answer(202, ACCEPTED)) as server:
        workspace.write(attachment(server.url))
        ran = await run("send", "--target", "thread:general/t1", "--reply-to", "m0", "--text", "x")
    assert ran.exit_code == 0
    body: Any = server.requests[0].json()
    assert body["target"] == {
        "kind": "thread",
        "room_id": "general",
        "thread_id": "t1",
        "parent_message_id": "m0",
    }


async def test_text_comes_from_standard_input(run: Run, workspace: Workspace) -> None:
    async with open_scripted_server(answer(202, ACCEPTED)) as server:
        workspace.write(attachment(server.url))
        ran = await run("send", "--target", "room:general", "--text", "-", stdin="\none 'two'\nthrée\n\n".encode())
    assert ran.exit_code == 0
    body: Any = server.requests[0].json()
    assert body["parts"] == [{"kind": "text", "text": "one 'two'\nthrée"}]


@pytest.mark.parametrize(
    ("stdin", "text"),
    [(b"", "--text is empty"), (b" \n", "--text is empty"), (b"\xff", "not UTF-8"), (b"x" * 1_100_000, "more than")],
)
async def test_standard_input_that_is_no_message_is_refused(
    run: Run, workspace: Workspace, stdin: bytes, text: str
) -> None:
    workspace.write(attachment("http://127.0.0.1:1"))
    ran = await run("send", "--target", "room:general", "--text", "-", stdin=stdin)
    assert ran.exit_code == 2
    assert text in ran.stderr


async def test_a_lost_answer_is_asked_for_again_with_the_same_id(run: Run, workspace: Workspace) -> None:
    async with open_scripted_server(raw(close=True), answer(503), answer(202, ACCEPTED)) as server:
        workspace.write(attachment(server.url))
        ran = await run(*SEND)
    assert ran.exit_code == 0
    assert len({seen.body for seen in server.requests}) == 1


async def test_the_id_may_be_given(run: Run, workspace: Workspace) -> None:
    async with open_scripted_server(answer(202, ACCEPTED)) as server:
        workspace.write(attachment(server.url))
        ran = await run(*SEND, "--message-id", "step-7")
    assert ran.exit_code == 0
    body: Any = server.requests[0].json()
    assert body["id"] == "step-7"


async def test_a_dm_takes_its_participants_from_the_server(run: Run, workspace: Workspace) -> None:
    async with open_scripted_server(answer(200, DM), answer(202, ACCEPTED)) as server:
        workspace.write(attachment(server.url))
        ran = await run("send", "--target", "dm:ab", "--text", "x")
    assert ran.exit_code == 0
    assert [f"{seen.method} {seen.target}" for seen in server.requests] == ["GET /v1/dms/ab", "POST /v1/messages"]
    body: Any = server.requests[1].json()
    assert body["target"] == {"kind": "dm", "dm_id": "ab", "participant_ids": ["alpha", "beta"]}


@pytest.mark.parametrize("status", [403, 404])
async def test_a_dm_begins_with_the_named_agents(run: Run, workspace: Workspace, status: int) -> None:
    async with open_scripted_server(answer(status), answer(202, ACCEPTED)) as server:
        workspace.write(attachment(server.url))
        ran = await run("send", "--target", "dm:new", "--to", "beta", "--to", "net_b:gamma", "--text", "x")
    assert ran.exit_code == 0
    body: Any = server.requests[1].json()
    assert body["target"]["participant_ids"] == ["alpha", "beta", "net_b:gamma"]


async def test_a_dm_that_does_not_exist_says_how_to_begin_it(run: Run, workspace: Workspace) -> None:
    missing = {"code": "unknown_direct_conversation", "error": 'unknown direct conversation "new"', "request_id": "r"}
    async with open_scripted_server(answer(404, missing)) as server:
        workspace.write(attachment(server.url))
        ran = await run("send", "--target", "dm:new", "--text", "x")
    assert ran.exit_code == 4
    assert "--to AGENT begins one" in ran.stderr


async def test_nobody_is_added_to_a_dm_by_accident(run: Run, workspace: Workspace) -> None:
    async with open_scripted_server(answer(200, DM)) as server:
        workspace.write(attachment(server.url))
        ran = await run("send", "--target", "dm:ab", "--to", "net_a:beta", "--to", "gamma", "--text", "x")
    assert ran.exit_code == 5
    assert "is between alpha, beta, without gamma" in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--target", "room:general", "--text", " "), "--text is empty"),
        (("--target", "room:general", "--text", "x", "--to", "beta"), "--to is for a DM"),
        (("--target", "room:general", "--text", "x", "--reply-to", "m0"), "--reply-to needs --target thread"),
        (("--target", "thread:general/t", "--text", "x", "--reply-to", "m 0"), "--reply-to must start with"),
        (("--target", "room:general", "--text", "x", "--message-id", "m 0"), "--message-id must start with"),
        (("--target", "room:general", "--text", "x", "--timeout", "0"), "--timeout"),
    ],
)
async def test_wrong_options_are_named_before_anything_is_read(run: Run, arguments: tuple[str, ...], text: str) -> None:
    ran = await run("send", *arguments)
    assert ran.exit_code == 2
    assert text in ran.stderr


async def test_without_a_configuration_it_says_how_to_get_one(run: Run) -> None:
    ran = await run(*SEND)
    assert ran.exit_code == 2
    assert "moltnet connect" in ran.stderr


async def test_several_attachments_need_a_choice(
    run: Run, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_scripted_server(answer(202, ACCEPTED), answer(202, ACCEPTED)) as server:
        other = attachment("http://127.0.0.1:1", network_id="net_b", member_id="beta")
        workspace.write(other, attachment(server.url))
        ran = await run(*SEND)
        assert ran.exit_code == 2
        assert "--network is required" in ran.stderr
        assert (await run(*SEND, "--member", "alpha")).exit_code == 0
        monkeypatch.setenv("MOLTNET_NETWORK", "net_a")
        monkeypatch.setenv("MOLTNET_MEMBER", "alpha")
        assert (await run(*SEND)).exit_code == 0


async def test_the_configuration_may_be_elsewhere(
    run: Run, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_scripted_server(answer(202, ACCEPTED), answer(202, ACCEPTED)) as server:
        workspace.write(attachment(server.url))
        below = workspace.path / "a" / "b"
        below.mkdir(parents=True)
        monkeypatch.chdir(below)
        assert (await run(*SEND)).exit_code == 0
        monkeypatch.chdir("/")
        assert (await run(*SEND, "--config", str(workspace.config))).exit_code == 0


async def test_a_room_that_is_not_attached_is_not_written_to(run: Run, workspace: Workspace) -> None:
    workspace.write(attachment("http://127.0.0.1:1"))
    ran = await run("send", "--target", "room:other", "--text", "x")
    assert ran.exit_code == 2
    assert "room other is not attached for alpha" in ran.stderr


@pytest.mark.parametrize(
    "room", [{"can_write": False}, {"access": {"can_read": True, "can_write": False, "reason": "r"}}]
)
@pytest.mark.parametrize("target", ["room:general", "thread:general/t"])
async def test_a_read_only_room_is_not_written_to(
    run: Run, workspace: Workspace, room: dict[str, Any], target: str
) -> None:
    workspace.write(attachment("http://127.0.0.1:1", rooms=[{"id": "general", "wake": "all", **room}]))
    ran = await run("send", "--target", target, "--text", "x")
    assert ran.exit_code == 3
    assert "room general is read-only for alpha" in ran.stderr


async def test_dms_must_be_enabled(run: Run, workspace: Workspace) -> None:
    workspace.write(attachment("http://127.0.0.1:1", dms={"enabled": False}))
    ran = await run("send", "--target", "dm:ab", "--text", "x")
    assert ran.exit_code == 2
    assert "--enable-dms" in ran.stderr


async def test_a_token_that_is_not_there_is_named(run: Run, workspace: Workspace) -> None:
    workspace.write(attachment("http://127.0.0.1:1", auth={"mode": "bearer", "token_env": "TOKEN_OF_ALPHA"}))
    os.environ.pop("TOKEN_OF_ALPHA", None)
    ran = await run(*SEND)
    assert ran.exit_code == 2
    assert "TOKEN_OF_ALPHA is not set" in ran.stderr


async def test_a_public_configuration_with_a_token_is_refused(run: Run, workspace: Workspace) -> None:
    workspace.write(attachment("http://127.0.0.1:1"))
    workspace.config.chmod(0o644)
    ran = await run(*SEND)
    assert ran.exit_code == 2
    assert "chmod 600" in ran.stderr


async def test_nobody_listening_is_a_network_error_that_names_the_server(run: Run, workspace: Workspace) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    workspace.write(attachment(url))
    ran = await run(*SEND, "--timeout", "0.2")
    assert ran.exit_code == 6
    assert ran.stderr.startswith(f"moltnet: {url}: connection refused; is the server running")
    assert ran.stderr.count("\n") == 1


async def test_a_server_that_does_not_answer_is_given_up(run: Run, workspace: Workspace) -> None:
    async with open_scripted_server(silence()) as server:
        workspace.write(attachment(server.url))
        ran = await run(*SEND, "--timeout", "0.2")
    assert ran.exit_code == 6
    assert "no complete answer within 0.2 s" in ran.stderr


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (401, "invalid_token", 3),
        (403, "room_write_forbidden", 3),
        (404, "unknown_room", 4),
        (409, "message_id_conflict", 5),
    ],
)
async def test_a_refusal_has_its_exit_code(
    run: Run, workspace: Workspace, status: int, code: str, exit_code: int
) -> None:
    refusal = {"code": code, "error": "the server's words", "request_id": "req_1"}
    async with open_scripted_server(answer(status, refusal)) as server:
        workspace.write(attachment(server.url))
        ran = await run(*SEND)
    assert ran.exit_code == exit_code
    assert ran.stdout == ""
    assert f"answered {status}: the server's words (request req_1)" in ran.stderr
    assert "token-of-alpha" not in ran.stderr
