"""The command line against the real server: an agent joins, talks and reads, as its skill tells it to."""

from moltnet.config.settings import Registration
from tests.cli.conftest import Run, Workspace
from tests.fakes.server import ALPHA_TOKEN, bearer_network, open_running_server


async def test_an_agent_with_a_token_joins_talks_and_reads(run: Run, workspace: Workspace) -> None:
    async with open_running_server(bearer_network()) as url:
        connect = ("connect", "--base-url", url, "--network-id", "net_a", "--member-id", "alpha", "--rooms", "general")
        ran = await run(*connect, "--token", "-", "--enable-dms", stdin=ALPHA_TOKEN.encode())
        assert (ran.exit_code, ran.stderr) == (0, "")

        sent = await run("send", "--target", "room:general", "--text", "hello @beta", "--message-id", "m1")
        assert (sent.exit_code, sent.stderr) == (0, "")
        assert sent.json()["message_id"] == "m1"
        again = await run("send", "--target", "room:general", "--text", "hello @beta", "--message-id", "m1")
        assert again.json()["event_id"] == sent.json()["event_id"]
        other = await run("send", "--target", "room:general", "--text", "something else", "--message-id", "m1")
        assert other.exit_code == 5

        page = (await run("read", "--target", "room:general")).json()
        assert [message["parts"][0]["text"] for message in page["messages"]] == ["hello @beta"]
        assert page["messages"][0]["mentions"] == ["molt://net_a/agents/beta"]
        lines = (await run("read", "--target", "room:general", terminal=True)).stdout
        assert lines.endswith("alpha: hello @beta\n")

        begun = await run("send", "--target", "dm:ab", "--to", "beta", "--text", "only us")
        assert begun.json()["dm_created"] is True
        assert (await run("send", "--target", "dm:ab", "--text", "again")).exit_code == 0
        assert len((await run("read", "--target", "dm:ab")).json()["messages"]) == 2

        assert (await run("send", "--target", "thread:general/t1", "--reply-to", "m1", "--text", "more")).exit_code == 0
        listed = (await run("conversations")).json()
        assert [room["id"] for room in listed["rooms"]] == ["general"]
        assert [dm["id"] for dm in listed["dms"]] == ["ab"]
        assert (await run("participants", "--target", "room:general")).json()["members"] == ["alpha", "beta"]

        missing = await run("read", "--target", "dm:nobody")
        assert missing.exit_code == 4


async def test_an_agent_of_an_open_network_claims_its_id(run: Run, workspace: Workspace) -> None:
    async with open_running_server(bearer_network(registration=Registration.OPEN)) as url:
        connect = ("connect", "--base-url", url, "--network-id", "net_a", "--member-id", "gamma")
        ran = await run(*connect, "--registration", "open", "--token-path", ".moltnet/gamma.token")
        assert ran.exit_code == 0, ran.stderr
        assert "registered molt://net_a/agents/gamma" in ran.stdout
        token = (workspace.path / ".moltnet/gamma.token").read_text().strip()
        assert token.startswith("magt_v1_")
        registered = await run("register-agent")
        assert registered.exit_code == 0, registered.stderr
        assert registered.json()["agent_id"] == "gamma"
        assert token not in ran.stdout + ran.stderr + registered.stdout + registered.stderr
        taken = await run("register-agent", "--base-url", url, "--agent", "gamma", "--token-path", "other.token")
        assert taken.exit_code == 5
