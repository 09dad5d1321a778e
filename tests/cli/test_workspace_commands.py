"""What an agent sees of its network and of its workspace: `rooms`, `agents`, `thread`, `dm`, `search`, `watch`,
`whoami`, `status`, `doctor` and `leave`, against the real server."""

from collections.abc import AsyncIterator

import pytest
import trio

from moltnet.client.api import MoltnetClient, open_client
from moltnet.client.errors import ServerAnswered, ServerMisbehaved
from moltnet.protocol.lookups import FoundMessages
from moltnet.protocol.messages import HUMAN, Message
from moltnet.protocol.rooms import CreateRoomRequest
from tests.cli.conftest import Run, Workspace, attachment
from tests.fakes.network import room_message
from tests.fakes.server import ALPHA_TOKEN, OPERATOR_TOKEN, bearer_network, open_running_server

AUTH = {"mode": "bearer", "token": ALPHA_TOKEN}
UNREACHABLE = "http://127.0.0.1:9"


@pytest.fixture
async def url(workspace: Workspace) -> AsyncIterator[str]:
    """A network with alpha's workspace; room `desk` is the operators', `hidden` nobody's."""
    async with open_running_server(bearer_network()) as url:
        async with open_client(url, OPERATOR_TOKEN) as operator:
            desk = CreateRoomRequest(id="desk", name="Desk", members=("alpha",), write_policy="operators")
            await operator.create_room(desk)
            await operator.create_room(CreateRoomRequest(id="hidden"))
        workspace.write(attachment(url, auth=AUTH))
        yield url


async def say(url: str, text: str, *, room: str = "general") -> None:
    async with open_client(url, OPERATOR_TOKEN) as operator:
        await operator.send(room_message(text, room=room, sender="ada", sender_type=HUMAN))


class TestSending:
    async def test_a_message_may_hold_a_file_s_text_links_data_and_mentions(
        self, run: Run, workspace: Workspace, url: str
    ) -> None:
        (workspace.path / "report.md").write_text("# All green\n\nsecond line\n")
        words = ("--text-file", "report.md", "--url", "https://ci.example.com/7", "--data", '{"build": 7}')
        ran = await run("send", "--target", "room:general", *words, "--mention", "@beta")
        assert (ran.exit_code, ran.stderr) == (0, "")
        (message,) = (await run("read", "--target", "room:general")).json()["messages"]
        assert message["parts"] == [
            {"kind": "text", "text": "# All green\n\nsecond line"},
            {"kind": "url", "url": "https://ci.example.com/7"},
            {"kind": "data", "data": {"build": 7}},
        ]
        assert message["mentions"] == ["molt://net_a/agents/beta"]

    async def test_data_may_come_from_standard_input(self, run: Run, url: str) -> None:
        assert (await run("send", "--target", "room:general", "--data", "-", stdin=b'{"a": 1}')).exit_code == 0
        (message,) = (await run("read", "--target", "room:general")).json()["messages"]
        assert message["parts"] == [{"kind": "data", "data": {"a": 1}}]

    @pytest.mark.parametrize(
        ("words", "problem"),
        [
            ((), "say something"),
            (("--text", "x", "--text-file", "y"), "exclude each other"),
            (("--text", "-", "--data", "-"), "once only"),
            (("--data", "[1]"), "must be a JSON object"),
            (("--data", "{"), "is not JSON"),
            (("--text-file", "empty"), "is empty"),
            (("--text-file", "latin1"), "is not UTF-8 text"),
            (("--text-file", "missing"), "No such file"),
            (("--text", "x", "--mention", "no one"), "--mention"),
        ],
    )
    async def test_what_makes_no_message_is_refused_before_any_request(
        self, run: Run, workspace: Workspace, url: str, words: tuple[str, ...], problem: str
    ) -> None:
        for name, content in (("empty", b"\n"), ("latin1", "ü".encode("latin-1")), ("y", b"y")):
            (workspace.path / name).write_bytes(content)
        ran = await run("send", "--target", "room:general", *words)
        assert ran.exit_code == 2
        assert problem in ran.stderr
        assert (await run("read", "--target", "room:general")).json()["messages"] == []


class TestLists:
    async def test_rooms_shows_what_the_agent_may_see_and_do(self, run: Run, url: str) -> None:
        found = (await run("rooms")).json()
        assert (found["network_id"], [room["id"] for room in found["rooms"]]) == ("net_a", ["desk", "general"])
        head, desk, general = (await run("rooms", terminal=True)).stdout.splitlines()
        assert head.split() == ["ROOM", "NAME", "VISIBILITY", "MEMBERS", "YOU", "MAY", "WORKSPACE"]
        assert desk.split() == ["desk", "Desk", "private", "1", "member", "write"]
        assert general.split() == ["general", "General", "private", "2", "member", "write", "attached"]

    async def test_agents_shows_who_is_there(self, run: Run, url: str) -> None:
        found = (await run("agents")).json()
        assert [(agent["id"], agent["connected"]) for agent in found["agents"]] == [("alpha", False), ("beta", False)]
        ran = await run("agents", "--connected", terminal=True)
        assert (ran.exit_code, ran.stdout, ran.stderr) == (0, "", "moltnet: no agent is connected\n")

    async def test_thread_lists_the_threads_of_a_room(self, run: Run, url: str) -> None:
        assert (await run("thread", "general")).json() == {"room_id": "general", "threads": []}
        empty = await run("thread", "general", terminal=True)
        assert "begin one with: moltnet send --target thread:general/ID" in empty.stderr
        for name in ("t2", "t1", "t2"):
            await run("send", "--target", f"thread:general/{name}", "--text", "hello")
        found = (await run("thread", "room:general")).json()
        assert [(each["id"], each["message_count"]) for each in found["threads"]] == [("t1", 1), ("t2", 2)]
        head, first, second = (await run("thread", "general", terminal=True)).stdout.splitlines()
        assert head.split() == ["THREAD", "MESSAGES", "LAST", "ABOUT"]
        assert first.startswith("thread:general/t1  1")
        assert second.startswith("thread:general/t2  2")

    async def test_a_room_that_is_not_attached_is_refused_with_what_to_do(self, run: Run, url: str) -> None:
        ran = await run("thread", "desk")
        assert ran.exit_code == 2
        assert "moltnet connect … --rooms desk" in ran.stderr


class TestDirectMessages:
    async def test_the_first_message_begins_the_conversation_and_the_next_goes_on(self, run: Run, url: str) -> None:
        begun = await run("dm", "beta", "--text", "are you there?")
        assert (begun.exit_code, begun.json()["dm_created"]) == (0, True)
        assert (await run("dm", "@beta", "--text", "hello?")).json().get("dm_created") is not True
        texts = [message["parts"][0]["text"] for message in (await run("dm", "beta")).json()["messages"]]
        assert texts == ["are you there?", "hello?"]
        assert [dm["id"] for dm in (await run("conversations")).json()["dms"]] == ["alpha-beta"]
        assert (await run("dm", "beta", "--limit", "1", terminal=True)).stdout.endswith("hello?\n")

    async def test_it_finds_the_conversation_that_was_begun_under_another_id(self, run: Run, url: str) -> None:
        await run("send", "--target", "dm:secret-plans", "--to", "beta", "--text", "one")
        await run("dm", "beta", "--text", "two")
        assert [dm["id"] for dm in (await run("conversations")).json()["dms"]] == ["secret-plans"]

    @pytest.mark.parametrize(
        ("arguments", "exit_code", "problem"),
        [
            (("alpha", "--text", "x"), 2, "yourself"),
            (("not an id", "--text", "x"), 2, "AGENT"),
            (("beta", "--mention", "beta"), 2, "belong to a message"),
            (("beta",), 4, "moltnet send with --to AGENT begins one"),
        ],
    )
    async def test_what_cannot_be_is_said(
        self, run: Run, url: str, arguments: tuple[str, ...], exit_code: int, problem: str
    ) -> None:
        ran = await run("dm", *arguments)
        assert (ran.exit_code, problem in ran.stderr) == (exit_code, True), ran.stderr


class TestSearch:
    @pytest.fixture(params=["it looks", "it has no search", "it shows its console instead"], autouse=True)
    def server_kind(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        """A server of today, one of ours from before, and the reference."""

        async def refuse(client: MoltnetClient, **wanted: str) -> FoundMessages:
            if request.param == "it has no search":
                raise ServerAnswered(str(client.server), 404, code="unknown_route")
            raise ServerMisbehaved(str(client.server), "redirects to /console/")

        if request.param != "it looks":
            monkeypatch.setattr(MoltnetClient, "search", refuse)

    async def test_it_finds_all_words_in_any_order_and_case(self, run: Run, url: str) -> None:
        for text in ("the build is green", "GREEN is the Build of beta", "the build is red"):
            await say(url, text)
        await run("dm", "beta", "--text", "build it green")
        found = (await run("search", "green", "build")).json()
        assert [message["parts"][0]["text"] for message in found["messages"]] == [
            "the build is green",
            "GREEN is the Build of beta",
            "build it green",
        ]
        assert (found["looked_at"], found["has_more"]) == (4, False)

    async def test_it_says_how_far_it_looked(self, run: Run, url: str) -> None:
        for number in range(7):
            await say(url, f"message {number}")
        ran = await run("search", "--target", "room:general", "--depth", "3", "message", terminal=True)
        assert [line.rpartition(" ")[2] for line in ran.stdout.splitlines() if "ada" in line] == ["4", "5", "6"]
        assert ran.stderr == "moltnet: there are older messages: --depth 30\n"
        none = await run("search", "nowhere", terminal=True)
        assert none.stderr == "moltnet: nothing in 7 messages\n"

    @pytest.mark.parametrize("words", [("message", "3"), ('"message',), tuple(map(str, range(17)))])
    async def test_words_are_taken_as_they_are(self, run: Run, url: str, words: tuple[str, ...]) -> None:
        for number in range(7):
            await say(url, f"message {number}")
        await say(url, '"message ' + " ".join(map(str, range(17))))
        found = (await run("search", *words)).json()["messages"]
        assert [message["parts"][0]["text"][:9] for message in found] == (
            ["message 3", '"message '] if "message" in words else ['"message ']
        )


class TestWatching:
    async def test_it_shows_the_last_messages_and_what_comes(
        self, run: Run, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shown: list[str] = []
        began = trio.Event()
        loop = trio.lowlevel.current_trio_token()

        def keep(message: Message) -> None:
            shown.append(message.id)
            loop.run_sync_soon(began.set)
            if len(shown) == 3:
                raise BrokenPipeError  # who reads has seen enough

        monkeypatch.setattr("moltnet.cli.watch.print_json_line", keep)
        monkeypatch.setattr("moltnet.cli.main.abandon_stdout", lambda: None)
        await say(url, "before")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, "watch", "--target", "room:general", "--last", "1", "--json")
            with trio.fail_after(20):
                await began.wait()
                await say(url, "elsewhere", room="desk")
                await say(url, "second")
                await say(url, "third")
        found = (await run("read", "--target", "room:general")).json()["messages"]
        assert shown == [message["id"] for message in found]

    async def test_a_token_that_is_refused_ends_it(self, run: Run, workspace: Workspace, url: str) -> None:
        workspace.write(attachment(url))
        ran = await run("watch")
        assert ran.exit_code == 3


class TestWhoIAm:
    async def test_it_names_the_agent_and_what_its_token_allows(self, run: Run, url: str) -> None:
        found = (await run("whoami")).json()
        assert (found["member_id"], found["network_id"], found["base_url"]) == ("alpha", "net_a", url)
        assert found["credential"]["kind"] == "static"
        assert found["credential"]["agents"] == ["alpha"]
        lines = dict(line.split(None, 1) for line in (await run("whoami", terminal=True)).stdout.splitlines())
        assert lines["Agent"] == "alpha"
        assert lines["May"] == "attach, write"
        assert lines["As"] == "alpha"

    async def test_status_says_how_each_attachment_stands(self, run: Run, workspace: Workspace, url: str) -> None:
        workspace.write(
            attachment(url, auth=AUTH),
            attachment(url, auth={"mode": "bearer", "token": "a-token-that-nobody-knows"}, member_id="beta"),
            attachment(UNREACHABLE, member_id="gamma"),
        )
        ran = await run("status", "--timeout", "5")
        alpha, beta, gamma = ran.json()["attachments"]
        assert ran.exit_code == 3  # that of the first problem
        assert (alpha["registered"], alpha["connected"], alpha.get("error", "")) == (True, False, "")
        assert (beta["reachable"], beta["exit_code"]) == (False, 3)
        assert (gamma["reachable"], gamma["exit_code"]) == (False, 6)
        lines = (await run("status", "--member", "alpha", terminal=True)).stdout.splitlines()
        assert lines[1].endswith("registered, not connected")


class TestDoctor:
    async def test_a_good_workspace_has_no_problem(self, run: Run, url: str) -> None:
        ran = await run("doctor")
        (found,) = ran.json()["attachments"]
        assert ran.exit_code == 0
        assert [each["verdict"] for each in found["findings"]] == ["fine"] * 3 + ["note", "fine"]
        text = (await run("doctor", terminal=True)).stdout
        assert "nothing is connected as it; start its node or bridge" in text
        assert ALPHA_TOKEN not in text + ran.stdout

    @pytest.mark.parametrize(
        ("changes", "exit_code", "problem"),
        [
            ({"rooms": [{"id": "hidden"}]}, 4, "room hidden is not there"),
            ({"network_id": "net_b"}, 2, "the server's network is 'net_a', not 'net_b'"),
            ({"member_id": "beta"}, 3, "the token is for alpha, not for beta"),
            ({"auth": {"mode": "bearer", "token_env": "NOT_SET_ANYWHERE"}}, 2, "NOT_SET_ANYWHERE"),
            ({"auth": {"mode": "bearer", "token": "a-token-that-nobody-knows"}}, 3, "the operator can give a new one"),
            ({"base_url": UNREACHABLE}, 6, "is the server running"),
        ],
    )
    async def test_each_problem_is_named_with_what_to_do(
        self, run: Run, workspace: Workspace, url: str, changes: dict[str, object], exit_code: int, problem: str
    ) -> None:
        workspace.write(attachment(url, auth=AUTH) | changes)
        ran = await run("doctor", "--timeout", "5")
        problems = [
            each["text"] + "; " + each.get("next_step", "")
            for found in ran.json()["attachments"]
            for each in found["findings"]
            if each["verdict"] == "problem"
        ]
        assert (ran.exit_code, any(problem in each for each in problems)) == (exit_code, True), problems


class TestLeaving:
    async def test_rooms_go_and_the_rest_stays(self, run: Run, workspace: Workspace, url: str) -> None:
        rooms = [{"id": "general", "wake": "mentions"}, {"id": "desk", "wake": "never"}]
        workspace.write(attachment(url, auth=AUTH, rooms=rooms), attachment(url, member_id="beta"))
        before = workspace.attachment(1)
        assert (await run("leave", "--member", "alpha", "--rooms", "desk")).exit_code == 0
        assert workspace.attachment(0)["rooms"] == rooms[:1]
        assert workspace.attachment(1) == before
        ran = await run("leave", "--member", "alpha", "--rooms", "desk")
        assert (ran.exit_code, "not attached: desk" in ran.stderr) == (4, True)

    async def test_the_last_attachment_takes_the_file_with_it(self, run: Run, workspace: Workspace, url: str) -> None:
        assert (await run("leave")).exit_code == 0
        assert not workspace.config.exists()
        assert (await run("status")).exit_code == 2

    async def test_a_refused_revocation_leaves_the_workspace_as_it_is(
        self, run: Run, workspace: Workspace, url: str
    ) -> None:
        before = workspace.read()
        ran = await run("leave", "--revoke")  # a token of the network's file is not the agent's own
        assert ran.exit_code in (3, 5)
        assert workspace.read() == before


class TestTokens:
    async def test_a_new_one_is_random_and_long(self, run: Run) -> None:
        one, other = [(await run("tokens", "new")).stdout.strip() for _ in range(2)]
        assert one != other
        assert len(one) >= 43

    async def test_it_may_go_into_a_private_file(self, run: Run, workspace: Workspace) -> None:
        ran = await run("tokens", "new", "--to", "operator.token")
        path = workspace.path / "operator.token"
        assert (ran.exit_code, ran.stdout) == (0, "")
        assert len(path.read_text().strip()) >= 43
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.read_text().strip() not in ran.stderr

    async def test_those_of_agents_are_listed(self, run: Run, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MOLTNET_ADMIN_TOKEN", OPERATOR_TOKEN)
        ran = await run("tokens", "list", "--base-url", url)
        assert [each["agent_id"] for each in ran.json()["credentials"]] == ["alpha"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_each_shell_gets_its_completion(run: Run, shell: str) -> None:
    ran = await run("completion", shell)
    assert ran.exit_code == 0
    assert "_MOLTNET_COMPLETE" in ran.stdout
