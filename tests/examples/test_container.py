"""The container file and the compose file: what they promise, and that what they copy and mount is there."""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from moltnet.cli.installation import Installer, find_installation
from moltnet.cli.main import cli
from moltnet.config.server import load_server_config
from moltnet.config.settings import AuthMode, StorageKind
from tests.examples.programs import program

ROOT = Path(__file__).parents[2]
DIRECTORY = ROOT / "examples" / "container"
COMPOSE: dict[str, Any] = yaml.safe_load((DIRECTORY / "compose.yaml").read_text())
_INSTRUCTIONS = {
    *("FROM", "WORKDIR", "COPY", "RUN", "LABEL", "ENV", "USER"),
    *("VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"),
}


def instructions() -> list[tuple[str, str]]:
    """The lines of the container file, continued ones joined."""
    text = re.sub(r"^#.*\n", "", (DIRECTORY / "Containerfile").read_text(), flags=re.MULTILINE)
    lines = [line for line in re.sub(r"\\\n\s*", "", text).splitlines() if line.strip()]
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines]


def last_stage() -> dict[str, str]:
    lines = instructions()
    begin = max(number for number, (word, _) in enumerate(lines) if word == "FROM")
    return dict(lines[begin:])


def test_the_container_file_has_only_known_instructions_and_copies_what_there_is() -> None:
    lines = instructions()
    assert {word for word, _ in lines} <= _INSTRUCTIONS
    assert lines[0][0] == "FROM"
    for word, rest in lines:
        if word == "COPY" and not rest.startswith("--from"):
            *sources, _ = rest.split()
            assert [source for source in sources if not (ROOT / source).exists()] == []
        if word == "FROM":
            assert "latest" not in rest
            assert re.search(r":[\w.-]+", rest), "say which version"


@pytest.mark.slow
def test_hadolint_has_nothing_to_object_to() -> None:
    command = [str(program("hadolint")), "--no-color", str(DIRECTORY / "Containerfile")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "")


def test_the_program_in_it_is_nobody_special_and_writes_to_one_volume() -> None:
    stage = last_stage()
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", stage["USER"])
    assert stage["VOLUME"] == stage["WORKDIR"] == "/var/lib/moltnet"
    assert stage["STOPSIGNAL"] == "SIGTERM"
    assert "/readyz" in stage["HEALTHCHECK"]
    assert stage["ENTRYPOINT"] == '["moltnet"]'
    command = yaml.safe_load(stage["CMD"])
    assert command[0] in cli.list_commands(None)  # type: ignore[arg-type]  # it asks nothing of the context


def test_what_asks_for_its_health_is_a_program_that_python_can_read() -> None:
    check = yaml.safe_load(last_stage()["HEALTHCHECK"].split("CMD", 1)[1])
    assert check[:2] == ["python", "-c"]
    compile(check[2], "health", "exec")


def test_moltnet_knows_that_it_is_in_a_container() -> None:
    environ = dict(word.split("=", 1) for word in shlex.split(last_stage()["ENV"]))
    assert find_installation(environ).installer is Installer.CONTAINER


def test_the_wheel_that_it_builds_needs_no_file_that_is_not_copied() -> None:
    copied = " ".join(rest for word, rest in instructions() if word == "COPY").split()
    project = (ROOT / "pyproject.toml").read_text()
    for name in ("README.md", "LICENSE", *re.findall(r"packages = \[(.*)\]", project)[0].replace('"', "").split(", ")):
        assert name in copied


@pytest.mark.parametrize("name", ["server-1", "server-2"])
def test_a_server_of_the_compose_file_is_locked_in(name: str) -> None:
    server = COMPOSE["services"][name]
    assert server["read_only"] is True
    assert server["cap_drop"] == ["ALL"]
    assert server["security_opt"] == ["no-new-privileges:true"]
    assert "ports" not in server
    assert (DIRECTORY / server["build"]["context"] / server["build"]["dockerfile"]).resolve().exists()
    user = last_stage()["USER"].split(":")[0]
    assert f"uid={user}" in server["tmpfs"][1]


def test_what_the_compose_file_mounts_and_names_exists() -> None:
    services, volumes = COMPOSE["services"], COMPOSE["volumes"]
    for service in services.values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert (DIRECTORY / source).resolve().exists() if source.startswith(".") else source in volumes
        assert set(service.get("depends_on", ())) <= set(services)
    upstreams = services["proxy"]["environment"]["MOLTNET_SERVERS"].split()
    assert [upstream.split(":")[0] for upstream in upstreams] == ["server-1", "server-2"]
    caddyfile = (DIRECTORY / "../proxy/Caddyfile").read_text()
    assert {name for name in services["proxy"]["environment"] if f"{{${name}:" in caddyfile} == {
        "MOLTNET_SITE",
        "MOLTNET_SERVERS",
    }


def test_the_network_of_the_compose_file_loads_with_its_variables() -> None:
    given = COMPOSE["services"]["server-1"]["environment"]
    assert set(given) == {"OPERATOR_TOKEN", "MOLTNET_POSTGRES_DSN"}
    environ = {
        "OPERATOR_TOKEN": "0123456789abcdef" * 4,
        "MOLTNET_POSTGRES_DSN": re.sub(r"\$\{[^}]*\}", "secret", given["MOLTNET_POSTGRES_DSN"]),
    }
    config = load_server_config(DIRECTORY / "network.yaml", environ, DIRECTORY)
    assert (config.auth.mode, config.storage.kind) == (AuthMode.BEARER, StorageKind.POSTGRES)
    assert config.server.listen_addr.port == int(last_stage()["EXPOSE"])
    subnet = COMPOSE["networks"]["inside"]["ipam"]["config"][0]["subnet"]
    assert subnet in str(config.server.trusted_proxies)
