"""schemathesis against a real server: every check, with and without credentials, in memory and on databases.

The exceptions and their reasons stand in `schemathesis.toml`. `make apifuzz` runs the same for longer, each time with
another seed.
"""

import os
import sys
from pathlib import Path
from subprocess import STDOUT
from typing import Final

import attrs
import pytest
import trio

from moltnet.auth.claims import UNCHECKED
from moltnet.config.secrets import Secret
from moltnet.config.settings import (
    AuthMode,
    FileStorage,
    MoltnetConfig,
    PostgresStorage,
    Registration,
    StorageKind,
    StorageSettings,
)
from tests.fakes.credentials import static
from tests.fakes.network import direct_message, network_config, open_test_server, post, secret_of, token

CONFIG: Final = Path(__file__).with_name("schemathesis.toml")
EXAMPLES: Final = int(os.environ.get("MOLTNET_API_FUZZ_EXAMPLES", "3"))
# A scenario that follows links costs less than the examples of one operation tell.
SCENARIOS: Final = 15 * EXAMPLES // 3
SEED: Final = os.environ.get("MOLTNET_API_FUZZ_SEED", "1")
TICK_SECONDS: Final = 0.05
# A network in mode none asks nobody, so it ignores credentials as it should; the document describes networks that ask.
MODES: Final = {
    AuthMode.BEARER: ("-H", f"Authorization: Bearer {secret_of('fuzzer')}"),
    AuthMode.NONE: ("--exclude-checks=ignored_auth", "--generation-with-security-parameters=false"),
}
# JSON is memory with a file, and no store knows who was asked for what.
CASES: Final = [
    (kind, mode)
    for kind in StorageKind
    for mode in MODES
    if kind is StorageKind.MEMORY or (kind is not StorageKind.JSON and mode is AuthMode.BEARER)
]


def storage(kind: StorageKind, tmp_path: Path, request: pytest.FixtureRequest) -> StorageSettings:
    match kind:
        case StorageKind.SQLITE:
            return StorageSettings(kind, sqlite=FileStorage(tmp_path / "moltnet.db"))
        case StorageKind.JSON:
            return StorageSettings(kind, json=FileStorage(tmp_path / "moltnet.json"))
        case StorageKind.POSTGRES:
            return StorageSettings(kind, postgres=PostgresStorage(Secret(request.getfixturevalue("postgres_dsn"))))
        case StorageKind.MEMORY:
            return StorageSettings(kind)


def network(mode: AuthMode, kept: StorageSettings) -> MoltnetConfig:
    tokens = () if mode is AuthMode.NONE else (token("fuzzer", "admin write observe"),)
    config = network_config(mode=mode, tokens=tokens, registration=Registration.TOKEN)
    return attrs.evolve(config, storage=kept)


@pytest.mark.slow
@pytest.mark.timeout(60 + 60 * EXAMPLES)
@pytest.mark.parametrize(("kind", "mode"), CASES, ids=lambda case: case.value)
async def test_the_server_does_what_the_document_says(
    kind: StorageKind, mode: AuthMode, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    config = network(mode, storage(kind, tmp_path, request))
    claims = UNCHECKED if mode is AuthMode.NONE else static("admin write", token_id="ticker")
    settings = tmp_path / "schemathesis.toml"
    settings.write_text(f"{CONFIG.read_text()}\n[phases.stateful.generation]\nmax-examples = {SCENARIOS}\n")
    async with open_test_server(config) as server, trio.open_nursery() as nursery:

        async def tick() -> None:
            """Something happens all the time, so that an event stream does not keep its reader waiting."""
            while True:
                await post(server.app, direct_message("ticks", "alpha", "beta"), claims)
                await trio.sleep(TICK_SECONDS)

        nursery.start_soon(tick)
        command: list[str | Path] = [
            Path(sys.executable).with_name("schemathesis"),
            "--config-file",
            settings,
            "run",
            f"{server.url}/openapi.json",
            f"--max-examples={EXAMPLES}",
            f"--seed={SEED}",
            "--generation-database=none",
            "--continue-on-failure",
            "--no-color",
            "--warnings=off",
            *MODES[mode],
        ]
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        finished = await trio.run_process(
            command, capture_stdout=True, stderr=STDOUT, check=False, cwd=tmp_path, env=environment
        )
        nursery.cancel_scope.cancel()
    report = finished.stdout.decode()
    assert finished.returncode == 0, report
    assert "Tested: " in report
