"""A PostgreSQL server of the tests' own: real, private, in a temporary directory, gone with the test run.

`postgres_server` starts it once; `postgres_database` is a new, empty database on it for each test.
"""

import ctypes
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from tests.fakes.ports import free_port

ROOT: Final = Path(__file__).parent.parent.parent
USER: Final = "postgres"
PASSWORD: Final = "pa:ss/w%rd"
_QUOTED_PASSWORD: Final = "pa%3Ass%2Fw%25rd"
_START_SECONDS: Final = 60
# Without them a test database is a file copy and a few microseconds for each commit. What survives a power loss is
# PostgreSQL's business; what survives a crash of its processes does not depend on them.
_CARELESS: Final = ("fsync=off", "full_page_writes=off", "synchronous_commit=on")
_PDEATHSIG: Final = 1


def postgres_programs() -> Path:
    """The directory of `postgres` and `initdb`: what `scripts/install-test-postgres` made, else the system's newest."""
    installed = Path(os.environ.get("MOLTNET_TEST_POSTGRES", ROOT / ".cache" / "postgres"))
    found = shutil.which("postgres")
    candidates = [
        installed / "bin",
        *([Path(found).resolve().parent] if found else []),
        *sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True),
    ]
    for candidate in candidates:
        if all((candidate / program).exists() for program in ("initdb", "postgres", "psql")):
            return candidate
    raise AssertionError("no PostgreSQL found: run scripts/install-test-postgres, or `make test`, which does")


@attrs.define(eq=False)
class PostgresServer:
    """A running server. It listens on a socket in `directory` and on a port of 127.0.0.1."""

    programs: Path
    directory: Path
    port: int
    settings: Sequence[str] = _CARELESS
    _process: "subprocess.Popen[bytes] | None" = None
    _numbers: Iterator[int] = attrs.field(factory=itertools.count)

    @property
    def data(self) -> Path:
        return self.directory / "data"

    def dsn(self, database: str, *, user: str = USER, password: str = _QUOTED_PASSWORD) -> str:
        """By the socket."""
        return f"postgres://{user}:{password}@/{database}?host={self.directory}&port={self.port}"

    def tcp_dsn(
        self, database: str, *, user: str = USER, password: str = _QUOTED_PASSWORD, port: int = 0, query: str = ""
    ) -> str:
        """By the port, or by another one behind which it is."""
        return f"postgres://{user}:{password}@127.0.0.1:{port or self.port}/{database}{query}"

    def initialise(self) -> None:
        password = self.directory / "password"
        password.write_text(PASSWORD)
        self.own(password)
        self._run("initdb", "-D", str(self.data), "-U", USER, "-A", "scram-sha-256", f"--pwfile={password}",
                  "--no-sync", "-E", "UTF8", "--no-locale")  # fmt: skip

    def start(self) -> None:
        """Returns when it takes connections."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start the process. It ends with the thread that calls this: no server outlives a run that is killed."""
        log = (self.directory / "log").open("ab")
        arguments = [f"-c{setting}" for setting in (*self.settings, f"unix_socket_directories={self.directory}")]
        with log:
            self._process = subprocess.Popen(
                [self.programs / "postgres", "-D", self.data, "-p", str(self.port), "-h", "127.0.0.1", *arguments],
                stdout=log,
                stderr=log,
                cwd=self.directory,
                preexec_fn=_die_with_parent,
                **_unprivileged(),
            )

    def wait_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _START_SECONDS
        while not self.answers():
            assert self._process.poll() is None, (self.directory / "log").read_text()
            assert time.monotonic() < deadline, (self.directory / "log").read_text()
            time.sleep(0.01)

    def answers(self) -> bool:
        return self._psql("SELECT 1", "postgres").returncode == 0

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends connections and shuts down; SIGQUIT drops everything, so the next start recovers from the log."""
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(_START_SECONDS)
        self._process = None

    def sql(self, text: str, database: str = "postgres") -> str:
        """What `psql` prints for it: columns separated by `|`, a row per line."""
        finished = self._psql(text, database)
        assert finished.returncode == 0, finished.stderr
        return finished.stdout.strip()

    def try_sql(self, text: str) -> bool:
        """Whether the server takes it."""
        return self._psql(text, "postgres").returncode == 0

    def reload(self) -> None:
        """Make it take settings that were changed, for connections from now on."""
        before = self.sql("SELECT pg_conf_load_time()")
        self.sql("SELECT pg_reload_conf()")
        while self.sql("SELECT pg_conf_load_time()") == before:
            time.sleep(0.01)

    def new_database(self, template: str = "template0") -> str:
        name = f"test_{next(self._numbers)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def new_schema(self, database: str = "postgres") -> str:
        name = f"test_{next(self._numbers)}"
        self.sql(f"CREATE SCHEMA {name}", database)
        return name

    def dsn_of_new_schema(self, database: str = "postgres") -> str:
        return f"{self.dsn(database)}&search_path={self.new_schema(database)}"

    def drop_database(self, name: str) -> None:
        self.sql(f"DROP DATABASE {name} WITH (FORCE)")

    def own(self, path: Path) -> None:
        """Give it to the server's user."""
        if os.geteuid() == 0:
            user = _unprivileged_user()
            os.chown(path, user.pw_uid, user.pw_gid)

    def _psql(self, text: str, database: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [self.programs / "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", text, self.dsn(database)],
            capture_output=True,
            text=True,
            check=False,
        )

    def _run(self, program: str, *arguments: str) -> None:
        finished = subprocess.run(
            [self.programs / program, *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.directory,
            **_unprivileged(),
        )
        assert finished.returncode == 0, finished.stderr


@contextmanager
def running_postgres(*settings: str) -> Iterator[PostgresServer]:
    """A server of its own, for a test that stops it. Without settings it takes no care of the disk."""
    # Short: the path of a socket has at most 107 bytes. Not below pytest's directories, which only root may enter.
    with tempfile.TemporaryDirectory(prefix="moltnet-pg-", ignore_cleanup_errors=True) as path:
        server = PostgresServer(postgres_programs(), Path(path), free_port(), settings or _CARELESS)
        os.chmod(path, 0o711)
        server.own(Path(path))
        server.initialise()
        server.start()
        try:
            yield server
        finally:
            if server._process is not None:
                server.stop(signal.SIGQUIT)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_database(postgres_server: PostgresServer) -> Iterator[str]:
    """The name of an empty database."""
    name = postgres_server.new_database()
    yield name
    postgres_server.drop_database(name)


@pytest.fixture
def postgres_dsn(postgres_server: PostgresServer) -> str:
    """A DSN that finds nothing: of an empty schema, which is made in a fraction of the time of a database."""
    return postgres_server.dsn_of_new_schema()


def _unprivileged_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise AssertionError("PostgreSQL does not run as root, and there is no other user")


def _unprivileged() -> dict[str, Any]:
    """Arguments of `subprocess` that make a program run as somebody whom PostgreSQL accepts."""
    if os.geteuid() != 0:
        return {}
    user = _unprivileged_user()
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGQUIT)
