"""No secret leaves the place that was made for it: a good part of real life, with a recognisable secret wherever one
may stand, and a search in all that was written and shown."""

import http.client
import os
import secrets as randomness
import subprocess
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

import attrs
import orjson
import pytest
import trio

from tests.e2e.evidence import Evidence, forms
from tests.e2e.running import MOLTNET, PATIENCE_SECONDS, POLL_SECONDS, Server, running
from tests.fakes.attach_client import frame, open_websocket_wire, read_until_closed
from tests.fakes.ports import free_port
from tests.fakes.postgres import PASSWORD, PostgresServer, postgres_dsn, postgres_server

__all__ = ["postgres_dsn", "postgres_server"]
pytestmark = pytest.mark.slow

# Where a secret stands in the configuration, and whether it is one that the server takes.
PLANTED: Final = (
    "static value", "previous value", "static in a variable", "static in a file", "pair value", "outbound pairing",
    "token of a node", "API key of an agent", "guess", "guess in a URL", "guess in a cookie", "guess in a body",
    "guess for an agent", "wrong scheme", "guess in a frame", "broken config", "broken variable", "old cookie",
)  # fmt: skip
CONTROL: Final = "CONTROL-7d1f0b3e9a5c-that-is-really-written"

# An agent at its worst: shows all that it has, wherever it can, and then fails. What it is asked decides which.
PROGRAM: Final = f"""\
#!/bin/sh
prompt=$(cat)
echo "I was given $MOLTNET_TOKEN and $AGENT_API_KEY"
env
echo "error: not even $MOLTNET_TOKEN helps me, {CONTROL}" >&2
env >&2
case "$prompt" in
  *crash*) kill -9 $$ ;;
  *fail*) exit 3 ;;
esac
moltnet send --target room:general --text "heard, {CONTROL}"
"""


@attrs.frozen
class Life:
    """One network, its secrets, and what is known of what its programs showed."""

    server: Server
    node: Path
    planted: Mapping[str, str]
    evidence: Evidence
    environment: Mapping[str, str]
    made: dict[str, str] = attrs.field(factory=dict)

    @property
    def secrets(self) -> Mapping[str, str]:
        return {**self.planted, **self.made}

    async def run(self, *arguments: str | Path, at: Path | None = None, stdin: str = "", **environment: str) -> int:
        """A command to its end; what it printed is evidence."""
        ended = await trio.to_thread.run_sync(
            lambda: subprocess.run(
                [str(MOLTNET), *map(str, arguments)],
                cwd=at or self.server.directory,
                env={**os.environ, **self.environment, **environment},
                input=stdin.encode(),
                capture_output=True,
                timeout=60,
                check=False,
            )
        )
        what = f"output of moltnet {arguments[0]}"
        self.evidence.add(what, ended.stdout + ended.stderr)
        return ended.returncode

    async def ask(self, method: str, target: str, body: str = "", **headers: str) -> tuple[int, Mapping[str, str], str]:
        """One request, as raw as they come; its answer is evidence."""
        answer = await trio.to_thread.run_sync(partial(self._ask, method, target, body, headers))
        status, fields, text = answer
        shown_once = {"agent_token", "set-cookie"}
        if not shown_once & {*fields, *(["agent_token"] if '"agent_token"' in text else [])}:
            self.evidence.add("HTTP answers", f"{status} {fields} {text}")
        return answer

    def _ask(self, method: str, target: str, body: str, headers: Mapping[str, str]) -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection(urlsplit(self.server.url).netloc, timeout=30)
        try:
            fields = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, target, body or None, fields)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text
        finally:
            connection.close()


def bearer(token: str) -> str:
    return f"Bearer {token}"


@pytest.fixture(params=["sqlite", "postgres"])
def life(request: pytest.FixtureRequest, tmp_path: Path) -> Life:
    planted = {name: f"PLANTED-{randomness.token_hex(16)}" for name in PLANTED}
    planted["guess for an agent"] = f"magt_v1_{randomness.token_urlsafe(32)}"
    server, node = tmp_path / "server", tmp_path / "node"
    for directory in (server, node / "alpha", node / "beta"):
        directory.mkdir(parents=True)
    storage = "{kind: sqlite, sqlite: {path: data/moltnet.db}}"
    if request.param == "postgres":
        storage = f'{{kind: postgres, postgres: {{dsn: "{request.getfixturevalue("postgres_dsn")}"}}}}'
        planted["password of the database"] = PASSWORD
    environment = {"STATIC_TOKEN": planted["static in a variable"], "AGENT_API_KEY": planted["API key of an agent"]}
    (server / "static.token").touch(mode=0o600)
    (server / "static.token").write_text(planted["static in a file"])
    port = free_port()
    write(server / "Moltnet", f"""\
version: moltnet.v1
network: {{id: lab, name: Lab}}
server: {{listen_addr: "127.0.0.1:{port}", debug_events: true}}
auth:
  mode: open
  tokens:
    - id: ops
      value: {planted["static value"]}
      previous_value: {planted["previous value"]}
      scopes: [observe, write, admin]
    - {{id: alphas, value_env: STATIC_TOKEN, scopes: [attach, write], agents: [alpha]}}
    - {{id: spare, value_file: static.token, scopes: [attach, write]}}
    - {{id: inbound, value: {planted["pair value"]}, scopes: [pair]}}
pairings:
  - {{id: link, remote_network_id: other, remote_base_url: "http://127.0.0.1:1", token: {planted["outbound pairing"]}}}
storage: {storage}
rooms:
  - {{id: general, members: [alpha, beta, ada], visibility: public}}
log: {{level: debug, format: json}}
""")  # fmt: skip
    write(node / "MoltnetNode", f"""\
version: moltnet.node.v1
moltnet: {{base_url: "http://127.0.0.1:{port}", network_id: lab, auth_mode: open}}
attachments:
  - agent: {{id: alpha}}
    moltnet: {{token_env: STATIC_TOKEN}}
    runtime: {{kind: command, command: [alpha/agent.sh], workspace_path: alpha, env: [AGENT_API_KEY]}}
    rooms: [{{id: general, read: mentions, reply: auto}}]
  - agent: {{id: beta}}
    moltnet: {{token_path: beta.token}}
    runtime: {{kind: command, command: [beta/agent.sh], workspace_path: beta, env: [AGENT_API_KEY]}}
    rooms: [{{id: general, wake: mentions}}]
""")  # fmt: skip
    for workspace in (node / "alpha", node / "beta"):
        program = workspace / "agent.sh"
        program.write_text(PROGRAM)
        program.chmod(0o755)
    return Life(Server(server, f"http://127.0.0.1:{port}", environment), node, planted, Evidence(), environment)


def write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


async def knock_in_every_way(life: Life) -> None:
    """Good and bad credentials, in the right and in wrong places, on routes that answer and routes that refuse."""
    planted, in_body = life.planted, life.planted["guess in a body"]
    guesses: list[dict[str, str]] = [
        {"Authorization": bearer(planted["static value"])},
        {"Authorization": bearer(planted["previous value"])},
        {"Authorization": bearer(planted["static in a variable"])},
        {"Authorization": bearer(planted["static in a file"])},
        {"Authorization": bearer(planted["pair value"])},
        {"Authorization": bearer(planted["guess"])},
        {"Authorization": bearer(planted["guess for an agent"])},
        {"Authorization": f"Digest {planted['wrong scheme']}"},
        {"Authorization": planted["wrong scheme"]},
        {"Cookie": f"moltnet_session={planted['guess in a cookie']}; moltnet_auth={planted['old cookie']}"},
    ]
    targets = [
        "/v1/network", "/v1/rooms", "/v1/rooms/general/messages", "/v1/dms", "/v1/agents", "/v1/agents/beta",
        "/v1/credentials", "/v1/pairings", "/v1/pairings/link/network", "/v1/session", "/metrics", "/openapi.json",
        "/console/", f"/nowhere/{CONTROL}", "/v1/attach", "/healthz", "/readyz",
        f"/v1/rooms?access_token={planted['guess in a URL']}", f"/?access_token={planted['guess in a URL']}",
        f"/console/x?view=y&access_token={planted['guess in a URL']}",
    ]  # fmt: skip
    for headers in guesses:
        for target in targets:
            await life.ask("GET", target, **headers)
        for target, body in (
            ("/v1/messages", f'{{"token": "{in_body}"}}'),
            ("/v1/messages", f'{{"target": "{in_body}'),
            ("/v1/session", f'{{"token": "{in_body}"}}'),
            ("/v1/agents/register", f'{{"requested_agent_id": "alpha", "agent_token": "{in_body}"}}'),
            ("/v1/apply", '{"agents": [{"id": "x y", "credential_key": "token:x"}]}'),
        ):
            await life.ask("POST", target, body, **headers)
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13"}
    for token in (planted["guess"], planted["guess for an agent"], planted["pair value"]):
        asked = {**upgrade, "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==", "Authorization": bearer(token)}
        status, _, _ = await life.ask("GET", "/v1/attach", **asked)
        assert status in (401, 403)


async def say_it_in_frames(life: Life) -> None:
    for text in (
        frame("IDENTIFY", network_id="lab", agent={"id": "alpha"}, agent_token=life.planted["guess in a frame"]),
        frame("IDENTIFY", network_id=life.planted["guess in a frame"][:8], agent={"id": "alpha"}),
        f"Bearer {life.planted['guess in a frame']}",
    ):
        async with open_websocket_wire(life.server.url) as wire:
            await wire.send(text)
            frames, closed = await read_until_closed(wire)
            life.evidence.add("frames", f"{frames} {closed.code} {closed.reason}")


async def sign_in_and_out(life: Life) -> None:
    token = orjson.dumps({"token": life.planted["static value"]}).decode()
    _, fields, text = await life.ask("POST", "/v1/session", token, Origin=life.server.url)
    cookie = fields["set-cookie"].partition(";")[0]
    life.made["session"] = cookie.partition("=")[2]
    life.evidence.add("HTTP answers", text)
    for method, target in (("GET", "/v1/session"), ("GET", "/v1/rooms"), ("POST", "/v1/rooms"), ("GET", "/metrics")):
        await life.ask(method, target, Cookie=cookie)


async def use_every_command(life: Life) -> None:
    planted, workspace = life.planted, life.node / "cli"
    workspace.mkdir()
    static = planted["static value"]
    write(workspace / "ops.token", planted["static value"])
    write(workspace / "bad.token", planted["guess"])
    url = ("--base-url", life.server.url)
    connect = ("connect", *url, "--network-id", "lab", "--member-id", "gamma", "--rooms", "general")
    assert await life.run(*connect, "--auth-mode", "open", "--token-path", "gamma.token", at=workspace) == 0
    life.made["claimed by a command"] = (workspace / "gamma.token").read_text().strip()
    assert await life.run("send", "--target", "room:general", "--text", f"hello {CONTROL}", at=workspace) != 0
    assert await life.run("read", "--target", "room:general", at=workspace) == 0
    assert await life.run("admin", "agent", "list") == 0
    assert await life.run("admin", "agent", "list", *url, "--token-path", workspace / "ops.token") == 0
    assert await life.run("admin", "agent", "list", *url, "--token-path", workspace / "bad.token") == 3
    assert await life.run("admin", "agent", "list", *url, "--token-env", "T", T=planted["guess"]) == 3
    reset = ("admin", "agent", "reset-token", "gamma", "--to", workspace / "gamma.token")
    assert await life.run(*reset, *url, MOLTNET_ADMIN_TOKEN=static) == 0
    life.made["made by a reset"] = (workspace / "gamma.token").read_text().strip()
    again = ("connect", *url, "--network-id", "lab", "--member-id", "delta", "--token", "-")
    await life.run(*again, at=workspace, stdin=planted["guess"] + "\n")
    await life.run("register-agent", *url, "--agent", "beta", "--token-env", "T", at=workspace, T=planted["guess"])
    assert await life.run("validate", life.server.directory / "Moltnet") == 0
    assert await life.run("reload") == 0


async def break_configurations(life: Life) -> None:
    """Files that no program takes, with a secret on the very line that is wrong."""
    broken, secret = life.node / "broken", life.planted["broken config"]
    broken.mkdir()
    texts = [
        f"auth: {{mode: bearer, tokens: [{{id: a, value: {secret}, scopes: [rwx]}}]}}\n",
        f"auth: {{mode: bearer, tokens: [{{id: a, value: {secret}, scopes: [admin], {secret}: 1}}]}}\n",
        f"auth: {{mode: bearer, tokens: [{{id: a, value: {secret}\n",
        f"auth: {{mode: bearer, tokens: [{secret}]}}\n",
        f"auth: {{mode: bearer, tokens: {secret}}}\n",
        f"auth: {{tokens: [{{id: a, value: [{secret}], scopes: [admin]}}]}}\n",
        f"storage: {{kind: postgres, postgres: {{dsn: 'postgres://u:{secret}@127.0.0.1:1/db'}}}}\n",
        f"storage: {{kind: postgres, postgres: {{dsn: 'http://u:{secret}@127.0.0.1:1/db'}}}}\n",
        f"pairings: [{{id: p, remote_base_url: 'http://u:{secret}@x.test', token: {secret}}}]\n",
        f"auth: {{mode: bearer, tokens: [{{id: a, value: '{secret} with blanks', scopes: [admin]}}]}}\n",
    ]
    for text in texts:
        write(broken / "Moltnet", text)
        assert await life.run("start", at=broken) != 0, text
        await life.run("validate", "Moltnet", at=broken)
    pairings = f'[{{"id": "p", "token": "{life.planted["broken variable"]}"'
    assert await life.run("start", at=broken, MOLTNET_PAIRINGS_JSON=pairings) != 0
    dsn = f"postgres://u:{quote(life.planted['broken variable'])}@127.0.0.1:1/db"
    write(broken / "Moltnet", "network: {id: lab}\n")
    assert await life.run("start", at=broken, MOLTNET_POSTGRES_DSN=dsn) != 0
    node = f"moltnet: {{base_url: 'http://x.test', network_id: lab, token: {life.planted['token of a node']}"
    for text in (node, node + "}\nattachments: [{agent: {id: 'a b'}}]\n", node + ", tokn: 1}\n"):
        write(broken / "MoltnetNode", text)
        assert await life.run("node", "start", at=broken) == 2
    # A server that is reloaded with such a file goes on, and does not repeat it either.
    file = life.server.directory / "Moltnet"
    good = file.read_text()
    file.write_text(good.replace("scopes: [pair]", f"scopes: [{secret}]"))
    static = life.planted["static value"]
    assert await life.run("reload", "--base-url", life.server.url, MOLTNET_ADMIN_TOKEN=static) != 0
    file.write_text(good)


async def wait_text(life: Life, log: Path, text: str, times: int = 1) -> None:
    with trio.fail_after(PATIENCE_SECONDS):
        while not log.exists() or log.read_text(errors="replace").count(text) < times:
            await trio.sleep(POLL_SECONDS)


async def let_agents_work(life: Life) -> None:
    """Turns that end well, fail, and crash, of an agent that shows all it has; a server that dies and comes back."""
    log = life.node / "node.log"
    for number, word in enumerate(("speak", "fail", "crash"), start=1):
        message = {
            "target": {"kind": "room", "room_id": "general"},
            "from": {"type": "human", "id": "ada"},
            "parts": [{"kind": "text", "text": f"@alpha @beta {word}"}],
        }
        authorization = bearer(life.planted["static value"])
        body = orjson.dumps(message).decode()
        status, _, text = await life.ask("POST", "/v1/messages", body, Authorization=authorization)
        assert status == 202, text
        await wait_text(life, log, "turn started", 2 * number)
    await wait_text(life, log, "turn failed", 3)
    await life.ask("GET", "/v1/rooms/general/messages", Authorization=bearer(life.planted["static value"]))


def dump_of(server: PostgresServer, dsn: str) -> str:
    """All rows of all tables of a schema, as text."""
    schema = dsn.rpartition("search_path=")[2]
    tables = server.sql(f"SELECT tablename FROM pg_tables WHERE schemaname = '{schema}'").split()
    assert len(tables) > 5
    return "\n".join(server.sql(f"SELECT t::text FROM {schema}.{table} t") for table in tables)


async def test_no_secret_is_anywhere_but_in_its_place(life: Life, request: pytest.FixtureRequest) -> None:
    evidence = life.evidence
    async with evidence.watching_processes(), AsyncExitStack() as stack:
        async with life.server.run() as program:
            node = await stack.enter_async_context(
                running(
                    "node",
                    "start",
                    "--log-level",
                    "debug",
                    "--log-format",
                    "json",
                    directory=life.node,
                    log_path=life.node / "node.log",
                    environment=life.environment,
                )
            )
            await node.wait_log('"attached"', 2)
            life.made["claimed by the node"] = (life.node / "beta.token").read_text().strip()
            await knock_in_every_way(life)
            await say_it_in_frames(life)
            await sign_in_and_out(life)
            await use_every_command(life)
            await let_agents_work(life)
            await break_configurations(life)
            await program.kill()
        async with life.server.run() as program:
            await node.wait_log('"attached"', 4)
            await life.ask("GET", "/metrics", Authorization=bearer(life.planted["static value"]))
            assert await node.stop() == 0
            if (life.server.directory / "data").exists():
                evidence.add_files(life.server.directory / "data", declared=())  # with the log of the database
            assert await program.stop() == 0
    if "password of the database" in life.planted:
        dsn = request.getfixturevalue("postgres_dsn")
        evidence.add("database", dump_of(request.getfixturevalue("postgres_server"), dsn))
    cli, broken = life.node / "cli", life.node / "broken"
    declared = [
        life.server.directory / "Moltnet", life.server.directory / "static.token", life.node / "beta.token",
        cli / "gamma.token", cli / "ops.token", cli / "bad.token", cli / ".moltnet" / "config.json",
        broken / "Moltnet", broken / "MoltnetNode",
    ]  # fmt: skip
    evidence.add_files(life.server.directory.parent, declared=declared)
    for path in declared:
        assert not path.exists() or path.stat().st_mode & 0o077 == 0, path

    leaks = list(evidence.search(life.secrets))
    assert leaks == [], [evidence.around(each, life.secrets) for each in leaks]
    # The search works: what was really written, said and shown is found in every kind of place.
    found = {finding.source for finding in evidence.search({"control": CONTROL})}
    database = "database" if "password of the database" in life.planted else "file moltnet.db-wal"
    wanted = {database, "file server/server.log", "file node/node.log", "process list", "HTTP answers"}
    assert wanted <= found, wanted - found
    assert {
        "output of moltnet send",
        "output of moltnet reload",
        "frames",
        "names of files",
    } <= evidence.collected.keys()
    assert len(life.secrets) >= len(PLANTED) + 4


@pytest.mark.parametrize("form", forms("x" * 40))
def test_a_secret_is_found_in_every_form(form: str) -> None:
    secret = f"PLANTED-{randomness.token_hex(16)}/+&"
    evidence = Evidence()
    evidence.add("there", b"some text before \x00\xff" + forms(secret)[form] + b" and after")
    evidence.add("not there", "PLANTED-other")
    assert [finding.source for finding in evidence.search({"it": secret})] == ["there"]
