"""The walk-through for remote agents, step by step, with the answers that it promises."""

import http.client
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest
import trio

from tests.e2e.running import MOLTNET, Server, human_message, running
from tests.fakes.codex_home import find_codex
from tests.fakes.ports import free_port

pytestmark = pytest.mark.slow

TOKEN_SCRIPT = """\
umask 077
OPERATOR_TOKEN="$(openssl rand -hex 32)"
ATTACHMENT_TOKEN="$(openssl rand -hex 32)"
PAIRING_TOKEN="$(openssl rand -hex 32)"
printf 'OPERATOR_TOKEN=%s\\nATTACHMENT_TOKEN=%s\\nPAIRING_TOKEN=%s\\n' \\
  "$OPERATOR_TOKEN" "$ATTACHMENT_TOKEN" "$PAIRING_TOKEN" > moltnet-tokens.env
chmod 600 moltnet-tokens.env
"""
SERVER_SCRIPT = """\
source ./moltnet-tokens.env
MOLTNET_HOST="${MOLTNET_HOST:-moltnet.example.com}"
umask 077
cat > Moltnet <<END
version: moltnet.v1
network:
  id: shared_lab
  name: Shared Lab
server:
  listen_addr: ":8787"
  human_ingress: true
  trust_forwarded_proto: true
  allowed_origins:
    - https://${MOLTNET_HOST}
auth:
  mode: bearer
  tokens:
    - id: operator-main
      value: ${OPERATOR_TOKEN}
      scopes: [observe, write, admin]
    - id: attachment-alpha
      value: ${ATTACHMENT_TOKEN}
      scopes: [attach, write]
      agents: [alpha]
    - id: inbound-pairing
      value: ${PAIRING_TOKEN}
      scopes: [pair]
storage:
  kind: sqlite
  sqlite:
    path: .moltnet/moltnet.db
rooms:
  - id: general
    name: General
    members: [alpha]
END
chmod 600 Moltnet
"""
NODE_SCRIPT = """\
umask 077
cat > MoltnetNode <<END
version: moltnet.node.v1
moltnet:
  base_url: ${BASE_URL}
  network_id: ${NETWORK_ID}
  token: ${TOKEN}
attachments:
  - agent:
      id: ${AGENT}
      name: Alpha
    runtime:
      kind: codex
      workspace_path: ${WORKSPACE}
    rooms:
      - id: general
        read: mentions
        reply: auto
    dms:
      enabled: true
      read: all
      reply: auto
END
chmod 600 MoltnetNode
"""


def bash(script: str, directory: Path, **variables: str) -> None:
    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=directory, env={**os.environ, **variables}, check=True
    )


def get(url: str, token: str = "") -> tuple[int, dict[str, object]]:
    """What `curl` shows of a GET: the status, and the JSON body."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    try:
        connection.request("GET", parts.path, headers={"Authorization": f"Bearer {token}"} if token else {})
        answer = connection.getresponse()
        return answer.status, orjson.loads(answer.read())
    finally:
        connection.close()


@pytest.fixture
def tokens(tmp_path: Path) -> Mapping[str, str]:
    bash(TOKEN_SCRIPT, tmp_path)
    lines = (tmp_path / "moltnet-tokens.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


@pytest.fixture
def server(tmp_path: Path, tokens: Mapping[str, str]) -> Server:
    bash(SERVER_SCRIPT, tmp_path)
    address = f"127.0.0.1:{free_port()}"
    return Server(tmp_path, f"http://{address}", {"MOLTNET_CONFIG": "./Moltnet", "MOLTNET_LISTEN_ADDR": address})


def write_node(directory: Path, server: Server, token: str, agent: str = "alpha", network: str = "shared_lab") -> Path:
    node = directory / "node"
    (node / "workspace").mkdir(parents=True)
    variables = {"BASE_URL": server.url, "NETWORK_ID": network, "TOKEN": token, "AGENT": agent}
    bash(NODE_SCRIPT, node, WORKSPACE=str(node / "workspace"), **variables)
    return node


def with_codex() -> dict[str, str]:
    return {"PATH": f"{find_codex().parent}:{MOLTNET.parent}:{os.environ['PATH']}"}


def moltnet(*arguments: str, directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(MOLTNET), *arguments], cwd=directory, capture_output=True, text=True, timeout=60, check=False
    )


async def test_the_checks_of_the_operator_answer_as_promised(server: Server, tokens: Mapping[str, str]) -> None:
    assert "validated" in moltnet("validate", "./Moltnet", directory=server.directory).stdout
    async with server.run() as program:
        assert await trio.to_thread.run_sync(get, f"{server.url}/healthz") == (200, {"status": "ok"})
        status, refusal = await trio.to_thread.run_sync(get, f"{server.url}/v1/network")
        assert (status, refusal["code"]) == (401, "unauthorized")
        status, network = await trio.to_thread.run_sync(get, f"{server.url}/v1/network", tokens["OPERATOR_TOKEN"])
        assert (status, network["id"], network["name"]) == (200, "shared_lab", "Shared Lab")
        assert await program.stop() == 0
    assert not any(value in program.log() for value in tokens.values())


async def test_a_node_attaches_with_the_attachment_token_and_the_operator_sees_it(
    tmp_path: Path, server: Server, tokens: Mapping[str, str]
) -> None:
    node = write_node(tmp_path, server, tokens["ATTACHMENT_TOKEN"])
    assert "validated" in moltnet("validate", "./MoltnetNode", directory=node).stdout
    async with (
        server.run(),
        running(
            "node", "start", "./MoltnetNode", directory=node, log_path=node / "node.log", environment=with_codex()
        ) as hosting,
    ):
        await hosting.wait_log("attached")
        async with server.client(tokens["OPERATOR_TOKEN"]) as operator:
            alpha = await operator.agent("alpha")
            assert (alpha.connected, alpha.rooms) == (True, ("general",))
        async with server.client(tokens["ATTACHMENT_TOKEN"]) as agent:
            # Its own room is readable to it; anything of an operator's is not.
            assert [room.id for room in (await agent.rooms()).rooms] == ["general"]
        async with server.client(tokens["OPERATOR_TOKEN"]) as operator:
            await operator.send(human_message("Good morning."))
        assert await hosting.stop() == 0
    assert not any(value in hosting.log() for value in tokens.values())


@pytest.mark.parametrize(
    ("token", "agent", "network", "reason"),
    [
        ("OPERATOR_TOKEN", "alpha", "shared_lab", "scope"),
        ("ATTACHMENT_TOKEN", "beta", "shared_lab", "not allowed"),
        ("ATTACHMENT_TOKEN", "alpha", "another_lab", "network"),
    ],
)
async def test_a_wrong_token_agent_or_network_is_refused_and_shown(
    tmp_path: Path, server: Server, tokens: Mapping[str, str], token: str, agent: str, network: str, reason: str
) -> None:
    node = write_node(tmp_path, server, tokens[token], agent, network)
    async with (
        server.run(),
        running(
            "node", "start", "./MoltnetNode", directory=node, log_path=node / "node.log", environment=with_codex()
        ) as hosting,
    ):
        await hosting.wait_log("parked")
        assert reason in hosting.log()
        async with server.client(tokens["OPERATOR_TOKEN"]) as operator:
            assert not (await operator.agent("alpha")).connected
        assert await hosting.stop() == 0


@pytest.mark.parametrize("name", ["Moltnet", "MoltnetNode"])
def test_a_config_with_tokens_that_others_could_read_is_refused(
    tmp_path: Path, server: Server, tokens: Mapping[str, str], name: str
) -> None:
    directory = tmp_path if name == "Moltnet" else write_node(tmp_path, server, tokens["ATTACHMENT_TOKEN"])
    command = ("start",) if name == "Moltnet" else ("node", "start", name)
    (directory / name).chmod(0o644)
    readable = moltnet(*command, directory=directory)
    (directory / name).chmod(0o600)
    (directory / name).rename(directory / f"{name}.real.yaml")
    (directory / name).symlink_to(directory / f"{name}.real.yaml")
    linked = moltnet(*command, directory=directory)
    for refused, advice in ((readable, "chmod 600"), (linked, "symlink")):
        assert refused.returncode == 2
        assert name in refused.stderr
        assert advice in refused.stderr
        assert not any(value in refused.stderr for value in tokens.values())
