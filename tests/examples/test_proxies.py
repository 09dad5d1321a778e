"""The examples of a reverse proxy: what must stand in them, and a network behind the real programs where they are.

``MOLTNET_TEST_NGINX`` and ``MOLTNET_TEST_CADDY`` name the programs, if they are not on the PATH.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import trio

from moltnet.client.agent import open_agent
from moltnet.client.api import open_client
from moltnet.protocol.limits import HEARTBEAT_INTERVAL_MS, MAX_BODY_BYTES, SSE_KEEP_ALIVE_SECONDS
from tests.e2e.running import Program, Server, human_message, running
from tests.examples.programs import program
from tests.fakes.ports import free_port

ROOT = Path(__file__).parents[2]
NGINX = (ROOT / "examples/proxy/nginx.conf").read_text()
CADDY = (ROOT / "examples/proxy/Caddyfile").read_text()


def directives(text: str) -> dict[str, str]:
    """The last value of each directive of nginx."""
    bare = re.sub(r"#.*", "", text)
    return {name: " ".join(value.split()) for name, value in re.findall(r"([a-z_]+)\s+([^;{}]+);", bare)}


def test_nginx_passes_on_what_attachments_and_streams_need() -> None:
    found = directives(NGINX)
    assert found["proxy_http_version"] == "1.1"
    assert found["proxy_buffering"] == "off"
    for header in ("Upgrade", "Connection", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Host"):
        assert re.search(rf"proxy_set_header {header}\s", NGINX), header
    patience_seconds = int(found["proxy_read_timeout"].removesuffix("m")) * 60
    assert patience_seconds > 3 * max(SSE_KEEP_ALIVE_SECONDS, HEARTBEAT_INTERVAL_MS / 1000)
    assert int(found["client_max_body_size"].removesuffix("m")) * 1024 * 1024 > MAX_BODY_BYTES
    assert NGINX.count("{") == NGINX.count("}")


def test_caddy_asks_whether_a_server_is_ready_and_buffers_nothing() -> None:
    assert {"health_uri /readyz", "flush_interval -1"} <= {line.strip() for line in CADDY.splitlines()}
    assert CADDY.count("{") == CADDY.count("}")


async def talk_through(url: str, direct: Server) -> None:
    """A message, an event stream and an attachment, all of them through the proxy."""
    async with (
        open_client(url) as client,
        client.events() as events,
        open_agent(url, "echo") as agent,
        agent.wakes() as wakes,
    ):
        await client.send(human_message("@echo hello"))
        with trio.fail_after(20):
            async for message in wakes:
                await agent.reply(message, f"you said: {message.text}")
                break
            async for event in events:
                if event.type == "message.created" and "you said" in str(event):
                    break
    with trio.fail_after(20):
        async with direct.client() as client:
            assert (await client.network()).id == "lab"


async def open_lab(directory: Path) -> Server:
    port = free_port()
    (directory / "Moltnet").write_text(
        "version: moltnet.v1\nnetwork: {id: lab}\n"
        f'server: {{listen_addr: "127.0.0.1:{port}", human_ingress: true, trusted_proxies: [loopback]}}\n'
        "storage: {kind: memory}\nrooms: [{id: general, members: [echo]}]\n"
    )
    return Server(directory, f"http://127.0.0.1:{port}")


async def answers(url: str, proxy: Program) -> None:
    await Server(Path(), url).wait_ready(proxy)


@pytest.mark.slow
async def test_a_network_behind_nginx(tmp_path: Path) -> None:
    nginx, port = program("nginx"), free_port()
    server = await open_lab(tmp_path)
    site = re.sub(r"\n\s*ssl_certificate[^\n]*", "", NGINX)
    site = site.replace("listen 443 ssl", f"listen 127.0.0.1:{port}")
    site = site.replace("127.0.0.1:8787", server.url.removeprefix("http://"))
    places = "".join(
        f"{kind}_temp_path {tmp_path}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    whole = tmp_path / "nginx.conf"
    whole.write_text(
        f"daemon off;\nmaster_process off;\npid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{places}{site}}}\n"
    )
    arguments = ("-p", str(tmp_path), "-c", str(whole), "-e", "stderr")
    await trio.run_process([str(nginx), *arguments, "-t"], capture_stderr=True)
    async with server.run(), running(*arguments, directory=tmp_path, log_path=tmp_path / "log", program=nginx) as proxy:
        await answers(f"http://127.0.0.1:{port}", proxy)
        await talk_through(f"http://127.0.0.1:{port}", server)


@pytest.mark.slow
async def test_a_network_behind_caddy(tmp_path: Path) -> None:
    caddy, port = program("caddy"), free_port()
    server = await open_lab(tmp_path)
    config = tmp_path / "Caddyfile"
    config.write_text("{\n\tadmin off\n\tauto_https off\n}\n" + CADDY)
    environment: Mapping[str, str] = {
        "MOLTNET_SITE": f"http://127.0.0.1:{port}",
        "MOLTNET_SERVERS": server.url.removeprefix("http://"),
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path),
    }
    arguments = ("run", "--config", str(config), "--adapter", "caddyfile")
    async with (
        server.run(),
        running(
            *arguments, directory=tmp_path, log_path=tmp_path / "log", environment=environment, program=caddy
        ) as proxy,
    ):
        await answers(f"http://127.0.0.1:{port}", proxy)
        await talk_through(f"http://127.0.0.1:{port}", server)
