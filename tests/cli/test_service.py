"""`moltnet service`: what is written for systemd and launchd, and what they are told, by programs that stand in for
them. `systemd-analyze` judges the units where there is one; a server runs under the strictest of their rules.

After a wanted change: MOLTNET_TEST_GOLDEN=write pytest tests/cli/test_service.py
"""

import ctypes
import os
import plistlib
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from moltnet.cli import service_managers
from moltnet.cli.exit_codes import CommandFailed
from moltnet.cli.service import own_program, prepare
from moltnet.cli.service_units import MARK, Role, Service, launchd_plist, systemd_unit
from tests.cli.conftest import Run, Workspace
from tests.e2e.running import MOLTNET, Server, running
from tests.fakes.ports import free_port

GOLDEN = Path(__file__).parent / "units"
SERVER = Service(Role.SERVER, "moltnet-server", ("/opt/moltnet/bin/moltnet",), Path("/etc/moltnet/Moltnet"))
NODE = Service(
    Role.NODE,
    "moltnet-node",
    ("/opt/moltnet/bin/moltnet",),
    Path("/srv/my agents/100% $HOME/MoltnetNode"),
    search_path="/opt/moltnet/bin:/usr/bin",
)


def of_system(service: Service) -> Service:
    return Service(
        service.role,
        service.name,
        service.program,
        service.config,
        Path("/etc/moltnet/tokens.env"),
        (Path("/srv/chat"), Path("/srv/my agents")),
        "moltnet",
        service.search_path,
    )


UNITS = {
    "server-user.service": systemd_unit(SERVER),
    "server-system.service": systemd_unit(of_system(SERVER)),
    "node-user.service": systemd_unit(NODE),
    "node-system.service": systemd_unit(of_system(NODE)),
    "server-user.plist": launchd_plist(SERVER, Path("/Users/ada/Library/Logs/moltnet-server.log")),
    "node-system.plist": launchd_plist(of_system(NODE), Path("/Library/Logs/moltnet-node.log")),
}


@pytest.mark.parametrize("name", UNITS)
def test_a_service_is_written_as_the_golden_file_says(name: str) -> None:
    path = GOLDEN / name
    if os.environ.get("MOLTNET_TEST_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(UNITS[name])
    assert path.read_text() == UNITS[name]


def test_a_property_list_says_what_to_run() -> None:
    content = plistlib.loads(UNITS["node-system.plist"].encode())
    assert content["ProgramArguments"] == ["/opt/moltnet/bin/moltnet", "node", "start", str(NODE.config)]
    assert content["UserName"] == "moltnet"
    assert content["KeepAlive"] == {"SuccessfulExit": False}


@pytest.fixture
def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is not installed")
    return found


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("system", [False, True], ids=["user", "system"])
def test_systemd_understands_every_line(analyze: str, tmp_path: Path, role: Role, system: bool) -> None:
    config = tmp_path / "a dir" / "Moltnet"
    config.parent.mkdir()
    config.touch()
    user = "root" if system else None
    service = Service(role, f"moltnet-{role}", (str(MOLTNET),), config, writable=(tmp_path,), user=user)
    unit = tmp_path / f"{service.name}.service"
    unit.write_text(systemd_unit(service))
    scope = [] if system else ["--user"]
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    ran = subprocess.run(
        [analyze, *scope, "--man=no", "verify", str(unit)], capture_output=True, text=True, env=environ, check=False
    )
    assert [line for line in (ran.stdout + ran.stderr).splitlines() if str(unit) in line] == []
    assert ran.returncode == 0, ran.stderr


def test_systemd_finds_a_server_of_the_system_well_locked_in(analyze: str, tmp_path: Path) -> None:
    unit = tmp_path / "moltnet-server.service"
    unit.write_text(systemd_unit(of_system(SERVER)))
    ran = subprocess.run(
        [analyze, "security", "--offline=yes", "--threshold=20", str(unit)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


PR_SET_NO_NEW_PRIVS = 38
PR_SET_MDWE = 65
PR_MDWE_REFUSE_EXEC_GAIN = 1


@pytest.mark.slow
async def test_a_server_needs_no_memory_that_is_writable_and_executable(tmp_path: Path) -> None:
    """`MemoryDenyWriteExecute=yes`, through the kernel's own rule of the same kind, which children inherit."""
    if not hasattr(ctypes.CDLL(None), "prctl"):
        pytest.skip("not Linux")
    locked = tmp_path / "locked-in"
    locked.write_text(
        f"#!{sys.executable}\nimport ctypes, mmap, os, sys\n"
        f"if ctypes.CDLL(None).prctl({PR_SET_MDWE}, {PR_MDWE_REFUSE_EXEC_GAIN}, 0, 0, 0): sys.exit(77)\n"
        "try:\n    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)\n"
        "except PermissionError:\n    pass\nelse:\n    sys.exit('the rule does not hold')\n"
        f"os.execv({str(MOLTNET)!r}, [{str(MOLTNET)!r}, *sys.argv[1:]])\n"
    )
    locked.chmod(0o755)
    port = free_port()
    (tmp_path / "Moltnet").write_text(
        f'version: moltnet.v1\nnetwork: {{id: lab}}\nserver: {{listen_addr: "127.0.0.1:{port}"}}\n'
        "storage: {kind: sqlite, sqlite: {path: lab.db}}\nrooms: [{id: general}]\n"
    )
    server = Server(tmp_path, f"http://127.0.0.1:{port}")
    async with running("start", directory=tmp_path, log_path=tmp_path / "log", program=locked) as program:
        if program.process.poll() is None:
            try:
                await server.wait_ready(program)
            except AssertionError:
                if program.process.returncode == 77:
                    pytest.skip("this kernel has no such rule")
                raise
        assert await program.stop() == 0


FAKE_SYSTEMCTL = """\
#!/bin/sh
echo "$*" >> "$FAKE_LOG"
case "$*" in
  *fail*) echo "Job failed. See journalctl." >&2; exit 1;;
  *"show --property=Version"*) exit ${FAKE_BUS:-0};;
  *show*) if [ -e "$FAKE_LOG.on" ]; then echo ActiveState=active; else echo ActiveState=inactive; fi
          echo StatusText=serving lab; echo MainPID=42;;
  *restart*) touch "$FAKE_LOG.on";;
  *disable*) rm -f "$FAKE_LOG.on";;
esac
"""


@attrs.frozen
class Told:
    """What a stand-in was told."""

    path: Path

    def lines(self) -> list[str]:
        return self.path.read_text().splitlines() if self.path.exists() else []


@pytest.fixture
def systemd(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Told:
    """A systemd that writes down what it is told."""
    return _stand_in(workspace, monkeypatch, "systemctl", FAKE_SYSTEMCTL)


def _stand_in(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> Told:
    programs = workspace.path / "bin"
    programs.mkdir()
    (programs / name).write_text(text)
    (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_LOG", str(workspace.path / "told"))
    monkeypatch.setenv("HOME", str(workspace.path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("MOLTNET_CONFIG", raising=False)
    monkeypatch.setattr(service_managers, "SYSTEMD_RUNS", workspace.path)
    return Told(workspace.path / "told")


async def test_a_service_is_installed_looked_at_and_removed(run: Run, workspace: Workspace, systemd: Told) -> None:
    assert (await run("init")).exit_code == 0
    unit = workspace.path / ".config/systemd/user/moltnet-server.service"
    assert (await run("service", "status", "server")).exit_code == 4
    installed = await run("service", "install", "server")
    assert installed.exit_code == 0
    assert installed.stdout.splitlines()[:2] == [f"installed {unit}", "moltnet-server is running"]
    assert "loginctl enable-linger" in installed.stdout
    assert f"Environment=MOLTNET_CONFIG={workspace.path}/Moltnet\n" in unit.read_text()
    assert systemd.lines()[-3:] == [
        "--user daemon-reload",
        "--user enable moltnet-server",
        "--user restart moltnet-server",
    ]
    status = await run("service", "status", "server")
    assert status.exit_code == 0
    assert "serving lab" in status.stdout
    assert (await run("service", "install", "server")).exit_code == 0
    removed = await run("service", "uninstall", "server")
    assert (removed.exit_code, removed.stdout) == (0, f"removed {unit}\n")
    assert not unit.exists()
    assert "--user disable --now moltnet-server" in systemd.lines()
    assert (await run("service", "uninstall", "server")).exit_code == 4


async def test_a_service_that_is_only_installed_does_not_run(run: Run, systemd: Told) -> None:
    await run("init")
    assert (await run("service", "install", "node", "--no-start", "--name", "agents")).exit_code == 0
    assert not any("restart" in line for line in systemd.lines())
    assert (await run("service", "status", "node", "--name", "agents")).exit_code == 6


async def test_a_dry_run_prints_the_unit_and_needs_no_systemd(
    run: Run, workspace: Workspace, systemd: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_managers, "SYSTEMD_RUNS", workspace.path / "none")
    await run("init")
    (workspace.path / "tokens.env").write_text("# tokens\nA_TOKEN='0123456789'\n")
    (workspace.path / "tokens.env").chmod(0o600)
    shown = await run("service", "install", "server", "--system", "--dry-run", "--env-file", "tokens.env")
    assert shown.exit_code == 0
    assert "User=moltnet\n" in shown.stdout
    assert f"EnvironmentFile={workspace.path}/tokens.env\n" in shown.stdout
    assert f"ReadWritePaths={workspace.path}/.moltnet\n" in shown.stdout
    assert shown.stderr == "would be written to /etc/systemd/system/moltnet-server.service\n"
    assert systemd.lines() == []
    refused = await run("service", "install", "server")
    assert refused.exit_code == 1
    assert "systemd does not run on this machine" in refused.stderr


async def test_variables_of_the_file_are_those_of_the_service(run: Run, workspace: Workspace, systemd: Told) -> None:
    config = workspace.path / "Moltnet"
    config.touch(mode=0o600)
    config.write_text(
        "version: moltnet.v1\nnetwork: {id: lab}\nauth:\n  mode: bearer\n"
        "  tokens: [{id: op, value_env: OP_TOKEN, scopes: [admin]}]\nstorage: {kind: memory}\n"
    )
    variables = workspace.path / "tokens.env"
    variables.touch(mode=0o600)
    variables.write_text(f"OP_TOKEN={'0123456789' * 4}\n")
    without = await run("service", "install", "server", "--dry-run")
    assert without.exit_code == 2
    assert "OP_TOKEN" in without.stderr
    assert (await run("service", "install", "server", "--dry-run", "--env-file", "tokens.env")).exit_code == 0
    variables.chmod(0o644)
    assert (
        "may be read by others"
        in (await run("service", "install", "server", "--dry-run", "--env-file", "tokens.env")).stderr
    )
    variables.chmod(0o600)
    variables.write_text("export OP_TOKEN=1\n")
    assert (
        "tokens.env:1: a line must be NAME=VALUE"
        in (await run("service", "install", "server", "--dry-run", "--env-file", "tokens.env")).stderr
    )


async def test_somebody_else_s_unit_is_left_alone(run: Run, workspace: Workspace, systemd: Told) -> None:
    await run("init")
    unit = workspace.path / ".config/systemd/user/moltnet-server.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    for command in (("install", "server"), ("uninstall", "server")):
        refused = await run("service", *command)
        assert refused.exit_code == 5
        assert "was not written by moltnet" in refused.stderr
    assert MARK not in unit.read_text()


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        (("install", "server", "none"), 2, "none"),
        (("install", "server"), 2, "there is no Moltnet file here"),
        (("install", "node"), 2, "MoltnetNode"),
        (("install", "server", "--run-as", "ada"), 2, "--run-as is for --system"),
        (("status", "server", "--name", "../x"), 2, "--name must be"),
        (("install", "both"), 2, "'server'"),
    ],
)
async def test_what_can_t_be_installed_is_refused_with_a_reason(
    run: Run, systemd: Told, arguments: tuple[str, ...], exit_code: int, said: str
) -> None:
    refused = await run("service", *arguments)
    assert refused.exit_code == exit_code
    assert said in refused.stderr


async def test_a_service_of_the_system_needs_root(run: Run, systemd: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    await run("init")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for command in ("install", "uninstall"):
        refused = await run("service", command, "server", "--system")
        assert (refused.exit_code, "--system needs root" in refused.stderr) == (2, True)


async def test_what_systemd_refuses_is_told(run: Run, systemd: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    await run("init")
    refused = await run("service", "install", "server", "--name", "fail")
    assert refused.exit_code == 1
    assert refused.stderr == "moltnet: systemctl --user enable fail: Job failed. See journalctl.\n"
    monkeypatch.setenv("FAKE_BUS", "1")
    refused = await run("service", "install", "server")
    assert "your own systemd can't be reached" in refused.stderr


FAKE_LAUNCHCTL = """\
#!/bin/sh
echo "$*" >> "$FAKE_LOG"
case "$1" in
  print) [ -e "$FAKE_LOG.on" ] || exit 113; printf '\\tstate = running\\n\\tpid = 42\\n';;
  bootstrap) touch "$FAKE_LOG.on";;
  bootout) [ -e "$FAKE_LOG.on" ] || exit 3; rm "$FAKE_LOG.on";;
esac
"""


async def test_launchd_is_told_in_its_own_words(
    run: Run, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = _stand_in(workspace, monkeypatch, "launchctl", FAKE_LAUNCHCTL)
    monkeypatch.setattr("moltnet.cli.service.sys.platform", "darwin")
    await run("init")
    plist = workspace.path / "Library/LaunchAgents/org.moltnet.moltnet-node.plist"
    for _ in range(2):
        assert (await run("service", "install", "node")).exit_code == 0
    assert plistlib.loads(plist.read_bytes())["ProgramArguments"][-1] == f"{workspace.path}/MoltnetNode"
    domain = f"gui/{os.getuid()}"
    assert told.lines() == [
        f"bootout {domain}/org.moltnet.moltnet-node",
        f"bootstrap {domain} {plist}",
        f"bootout {domain}/org.moltnet.moltnet-node",
        f"print {domain}/org.moltnet.moltnet-node",
        f"bootstrap {domain} {plist}",
    ]
    assert (await run("service", "status", "node")).exit_code == 0
    (workspace.path / "x.env").touch(mode=0o600)
    refused = await run("service", "install", "node", "--env-file", "x.env")
    assert "launchd reads no files of variables" in refused.stderr
    assert (await run("service", "uninstall", "node")).exit_code == 0
    assert not plist.exists()
    assert (await run("service", "status", "node")).exit_code == 4


def test_whom_a_service_of_the_system_runs_as_may_read_and_write(tmp_path: Path) -> None:
    config, kept = tmp_path / "Moltnet", tmp_path / "data"
    config.touch(mode=0o600)
    wanted = Service(Role.SERVER, "moltnet-server", ("moltnet",), config, writable=(kept,), user="nobody")
    with pytest.raises(CommandFailed, match="nobody may not read"):
        prepare(wanted, "nobody")
    with pytest.raises(CommandFailed, match="useradd --system"):
        prepare(wanted, "nobody-of-that-name")
    if os.geteuid() == 0:
        config.chmod(0o644)
        prepare(wanted, "nobody")
        assert kept.stat().st_uid == pwd.getpwnam("nobody").pw_uid


def test_the_program_of_a_service_can_be_called_from_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(MOLTNET)])
    assert own_program() == (str(MOLTNET),)
    monkeypatch.setattr(sys, "argv", ["-c"])
    assert Path(own_program()[0]).is_absolute()
