"""`moltnet start` on PostgreSQL, as an operator types it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from moltnet.cli.exit_codes import ExitCode
from tests.fakes.http_client import HttpClient
from tests.fakes.network import room_message
from tests.fakes.ports import free_port
from tests.fakes.postgres import PASSWORD, PostgresServer

pytestmark = pytest.mark.slow

MOLTNET = """
version: moltnet.v1
network: {id: lab, name: Lab}
storage: {kind: postgres}
server: {allowed_origins: ["http://lab.test"]}
rooms: [{id: general, members: [alpha]}]
"""


@contextmanager
def started(directory: Path, dsn: str, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    (directory / "Moltnet").write_text(MOLTNET)
    environ: Mapping[str, str] = {
        **os.environ,
        "MOLTNET_POSTGRES_DSN": dsn,
        "MOLTNET_LISTEN_ADDR": f"127.0.0.1:{port}",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "moltnet.cli.main", "start"],
        cwd=directory,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def stopped(process: "subprocess.Popen[bytes]") -> tuple[int, str]:
    """The exit code, and everything it said."""
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    return process.returncode, (out + err).decode()


async def test_a_network_on_postgres_starts_stops_and_starts_again(postgres_dsn: str, tmp_path: Path) -> None:
    port = free_port()
    client = HttpClient(f"http://127.0.0.1:{port}", "")
    for number in range(2):
        with started(tmp_path, postgres_dsn, port) as process:
            assert process.stdout is not None
            assert process.stdout.readline()  # it has something to say when it is ready
            assert (await client.get("/readyz")).status == 200
            assert (await client.post("/v1/messages", room_message(message_id=f"m{number}"))).status == 202
            page = (await client.get("/v1/rooms/general/messages")).json()
            assert [message["id"] for message in page["messages"]] == [f"m{each}" for each in range(number + 1)]
            code, said = stopped(process)
        assert code == 0, said
        assert PASSWORD not in said
        assert "%3A" not in said


def test_a_database_that_can_not_be_opened_is_said_in_one_line(postgres_server: PostgresServer, tmp_path: Path) -> None:
    with started(tmp_path, postgres_server.dsn("postgres", password="wrong"), free_port()) as process:
        _, err = process.communicate(timeout=60)
    (line,) = err.decode().splitlines()
    assert line.startswith("moltnet: PostgreSQL at ")
    assert "password authentication failed" in line
    assert "check user and password" in line
    assert "wrong" not in line
    assert process.returncode == ExitCode.SERVER
