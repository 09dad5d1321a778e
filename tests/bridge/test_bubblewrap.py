"""Sandboxes: what a program in one sees and leaves behind, and that nothing runs without the one it asked for.

They need the program bwrap, which `scripts/install-test-runtimes` installs, and a kernel that allows user namespaces.
Where it does not, the tests prove that nothing is run instead.
"""

import os
import sys
from pathlib import Path

import attrs
import pytest
import trio

from bridge import limits
from bridge.bubblewrap import SandboxFailed
from bridge.config import AuthMode, RoomBinding, RuntimeKind, TokenSource
from bridge.policy import Wake, WakeReason
from bridge.process import LimitExceeded, ProgramMissing, ProgramNotExecutable
from bridge.runtimes.registry import open_runtime
from bridge.runtimes.runtime import Conversation, RuntimeMisconfigured, Turn, TurnFailed
from bridge.settings import ProcessLimits, SandboxKind, SandboxSettings
from bridge.turns import TurnMaker
from moltnet.client.api import open_client
from moltnet.protocol.ids import AgentId, NetworkId, RoomId, event_id_of_message
from moltnet.protocol.messages import TargetKind
from tests.fakes.attachments import attachment_config
from tests.fakes.messages import message
from tests.fakes.process_watch import ProcessWatch
from tests.fakes.sandboxes import Box
from tests.fakes.server import ALPHA_TOKEN, bearer_network, open_running_server

ROOM = Conversation("net", TargetKind.ROOM, "general")


# Files ----------------------------------------------------------------------------------------------------------------


async def test_only_the_workspace_and_what_is_declared_can_be_written(box: Box, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    box.with_settings(writable=(tmp_path / "shared",))
    script = f"pwd; for f in ./a {tmp_path}/shared/b /etc/c /usr/d; do touch $f 2> /dev/null && echo $f; done"
    assert (await box.run(script)).output.splitlines() == [str(box.workspace), "./a", f"{tmp_path}/shared/b"]
    assert (box.workspace / "a").exists()
    assert (tmp_path / "shared" / "b").exists()


async def test_what_is_in_temporary_directories_and_homes_is_not_seen(box: Box, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    script = f"ls -A /tmp /root /home /run /var/tmp 2> /dev/null; cat {tmp_path}/secret"
    ending = await box.run(script)
    listed = ending.output.split()
    assert "secret" not in listed
    assert "No such file" in ending.errors
    own = {str(part) for part in tmp_path.parts}
    assert not [name for name in os.listdir("/run") if name in listed and name not in own]


async def test_the_private_tmp_is_gone_with_the_turn(box: Box) -> None:
    script = "test -e /tmp/left && echo seen; echo x > /tmp/left; cat /tmp/left"
    assert [(await box.run(script)).output for _ in range(2)] == ["x\n", "x\n"]
    assert not Path("/tmp/left").exists()


async def test_the_most_specific_path_decides_what_is_seen(box: Box, tmp_path: Path) -> None:
    """The state of the node may lie within a workspace, and a workspace within what is hidden."""
    state = box.workspace / "state"
    state.mkdir()
    (state / "ledger.json").write_text("{}")
    (box.workspace / "token").write_text("magt_v1_x")
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "page").write_text("text\n")
    box.with_settings(hidden=(tmp_path, state, box.workspace / "token"), readable=(tmp_path / "library",))
    ending = await box.run(f"ls -A state; cat token; cat {tmp_path}/library/page; echo more >> {tmp_path}/library/page")
    assert ending.output == "text\n"
    assert "Read-only" in ending.errors
    assert (tmp_path / "library" / "page").read_text() == "text\n"


async def test_paths_that_lead_over_links_are_the_places_that_they_lead_to(box: Box, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(box.workspace)
    (tmp_path / "elsewhere").mkdir()
    program = tmp_path / "elsewhere" / "agent.sh"
    program.write_text("#!/bin/sh\ntouch made; pwd\n")
    program.chmod(0o755)
    (tmp_path / "agent").symlink_to(program)
    real, box.workspace = box.workspace, tmp_path / "link"
    assert (await box.run_command((str(tmp_path / "agent"),))).output == f"{real}\n"
    assert (real / "made").exists()


@pytest.mark.parametrize("place", ["readable", "writable"])
async def test_a_link_that_a_program_leaves_in_its_workspace_opens_nothing_to_the_next(
    box: Box, tmp_path: Path, place: str
) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "token").write_text("magt_v1_x")
    (box.workspace / "a" / "own").mkdir(parents=True)
    (tmp_path / "way").symlink_to(box.workspace / "a" / "own")
    box.with_settings(**{place: (box.workspace / "a" / "own", tmp_path / "way")})
    await box.run(f"mv a b; mkdir a; ln -s {tmp_path}/secrets a/own")
    with pytest.raises(SandboxFailed, match=f"leads to {tmp_path}/secrets, by a link where the program may write"):
        await box.run("touch ran; cat a/own/token")
    assert not (box.workspace / "ran").exists()


async def test_a_program_in_the_workspace_cannot_make_another_one_seen(box: Box, tmp_path: Path) -> None:
    for place, said in (box.workspace, "ours"), (tmp_path, "secret"):
        (place / "agent.sh").write_text(f"#!/bin/sh\necho {said}\n")
        (place / "agent.sh").chmod(0o755)
    assert (await box.run_command((str(box.workspace / "agent.sh"),))).output == "ours\n"
    await box.run(f"ln -sf {tmp_path}/agent.sh agent.sh")
    with pytest.raises(ProgramMissing):
        await box.run_command((str(box.workspace / "agent.sh"),))


async def test_a_home_in_the_workspace_is_the_workspaces(box: Box) -> None:
    (box.workspace / "home").mkdir()
    box.with_settings(writable=(box.workspace / "home",), readable=(box.workspace / "missing",))
    await box.run("echo x > ~/y", HOME=str(box.workspace / "home"))
    assert (box.workspace / "home" / "y").read_text() == "x\n"


async def test_a_program_in_a_hidden_directory_is_seen_itself(box: Box, tmp_path: Path) -> None:
    program = tmp_path / "agent.sh"
    program.write_text('#!/bin/sh\necho started; ls "$(dirname $0)"\n')
    program.chmod(0o755)
    (tmp_path / "token").touch()
    listed = (await box.run_command((str(program),))).output.split()
    assert listed == ["started", "agent.sh", "workspace"]


async def test_the_home_is_there_and_empty_unless_it_is_declared(box: Box, tmp_path: Path) -> None:
    assert (await box.run("ls -A ~; echo x > ~/y; cat ~/y", HOME="/home/somebody")).output == "x\n"
    (tmp_path / "home").mkdir()
    box.with_settings(writable=(tmp_path / "home",))
    await box.run("echo x > ~/y", HOME=str(tmp_path / "home"))
    assert (tmp_path / "home" / "y").read_text() == "x\n"


async def test_moltnet_runs_in_a_sandbox(box: Box) -> None:
    path = f"{box.watch.environment['PATH']}:{Path(sys.executable).parent}"
    assert (await box.run("moltnet version", PATH=path)).exit_code == 0


# Processes ------------------------------------------------------------------------------------------------------------


async def test_a_program_sees_no_process_but_its_own_and_has_no_rights_over_the_system(box: Box) -> None:
    ending = await box.run(
        "ls /proc | grep -c '^[0-9]'; grep -h Cap /proc/self/status | cut -f2 | sort -u; ls /proc/$$/fd; true"
    )
    processes, capabilities, *descriptors = ending.output.split()
    assert int(processes) <= 6
    assert int(capabilities, 16) == 0
    assert descriptors == ["0", "1", "2"]


@pytest.mark.parametrize(
    "script",
    [
        "echo ready; exec sleep 1000",
        "trap '' TERM HUP; echo ready; while :; do sleep 1000; done",
        "setsid sh -c 'trap \"\" TERM; setsid sleep 1000 & sleep 1000' & (sleep 1000 &) ; echo ready; wait",
    ],
)
async def test_cancelling_ends_the_sandbox_and_all_that_was_started_in_it(
    box: Box, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setattr(limits, "TERM_GRACE_SECONDS", 0.1)
    with trio.CancelScope() as scope:

        async def on_line(line: bytes) -> None:
            assert line == b"ready"
            scope.cancel(reason="the test")

        await box.run(script, on_line=on_line)
    assert scope.cancelled_caught
    assert box.watch.running() == []


async def test_a_finished_program_leaves_nothing_behind_in_the_sandbox(box: Box) -> None:
    ending = await box.run("setsid sleep 1000 & (sleep 1000 < /dev/null > /dev/null 2>&1 &); echo done")
    assert (ending.exit_code, ending.output) == (0, "done\n")
    assert box.watch.running() == []


async def test_a_program_in_a_sandbox_may_tidy_up_when_it_is_told_to_end(box: Box) -> None:
    with trio.CancelScope() as scope:

        async def on_line(line: bytes) -> None:
            scope.cancel(reason="the test")

        await box.run(
            "trap 'echo saved > session; exit' TERM; echo ready; while :; do sleep 0.01; done", on_line=on_line
        )
    assert (box.workspace / "session").read_text() == "saved\n"


async def test_limits_hold_in_a_sandbox_too(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WATCH_SECONDS", 0.05)
    with pytest.raises(LimitExceeded, match="more than 12 processes"):
        await box.run_command(
            ("/bin/sh", "-c", "while :; do setsid sleep 1000 & sleep 0.01; done"), allowed=ProcessLimits(processes=12)
        )
    ending = await box.run_command(("/bin/sh", "-c", "ulimit -Hn"), allowed=ProcessLimits(open_files=300))
    assert ending.output == "300\n"
    assert box.watch.running() == []


# When there is none ---------------------------------------------------------------------------------------------------


async def test_a_program_that_cannot_be_executed_is_named_and_not_the_sandbox(box: Box, tmp_path: Path) -> None:
    with pytest.raises(ProgramMissing, match=r"^cannot execute nothing-of-this-name: it is not on the PATH$"):
        await box.run_command(("nothing-of-this-name",))
    (box.workspace / "text").write_text("")
    with pytest.raises(ProgramNotExecutable, match=r"^cannot execute \./text: "):
        await box.run_command(("./text",))


@pytest.mark.parametrize(
    ("bwrap", "reason"),
    [
        (
            "#!/bin/sh\necho 'bwrap: No permissions to create a new namespace' >&2; exit 1\n",
            "no sandbox could be made: bwrap: No permissions to create a new namespace",
        ),
        ("#!/bin/sh\nexit 3\n", "no sandbox could be made: bwrap ended with 3"),
        ("", "the program bwrap is not on the PATH: install the package bubblewrap"),
    ],
)
async def test_without_its_sandbox_no_program_is_run(
    watch: ProcessWatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bwrap: str, reason: str
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    if bwrap:
        (programs / "bwrap").write_text(bwrap)
        (programs / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    sandbox = SandboxSettings(SandboxKind.BUBBLEWRAP)
    config = attachment_config(tmp_path, command=("/usr/bin/touch", "ran"), sandbox=sandbox)
    async with open_runtime(config) as runtime:
        with pytest.raises(RuntimeMisconfigured) as refused:
            await runtime.run_turn(Turn(ROOM, "hello", watch.environment))
    assert refused.value.reason == reason
    assert not (tmp_path / "workspace" / "ran").exists()


async def test_a_turn_in_a_sandbox_writes_its_workspace_and_uses_no_proxy(
    box: Box, watch: ProcessWatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    script = 'cat > heard; echo "$TMPDIR $HTTPS_PROXY" >> heard; touch /etc/moltnet-test; exit 4'
    config = attachment_config(
        tmp_path,
        RuntimeKind.COMMAND,
        command=("/bin/sh", "-c", script),
        sandbox=SandboxSettings(SandboxKind.BUBBLEWRAP, hidden=(tmp_path,)),
    )
    async with open_runtime(config) as runtime:
        with pytest.raises(TurnFailed, match="exit code 4"):
            await runtime.run_turn(Turn(ROOM, "hello\n", watch.environment))
    assert (box.workspace / "heard").read_text() == "hello\n/tmp \n"
    assert not Path("/etc/moltnet-test").exists()


async def test_an_agent_in_a_sandbox_answers_with_moltnet_send_and_reads_no_token_file(
    box: Box, watch: ProcessWatch, tmp_path: Path
) -> None:
    (tmp_path / "alpha.token").write_text(ALPHA_TOKEN)
    (tmp_path / "alpha.token").chmod(0o600)
    (tmp_path / "other.token").write_text("of another agent")
    script = (
        'moltnet send --target "$MOLTNET_TARGET" --text "from inside" && moltnet read --target "$MOLTNET_TARGET" > read'
        f" && ! cat {tmp_path}/alpha.token {tmp_path}/other.token && ! ls {tmp_path}/state"
    )
    async with open_running_server(bearer_network()) as base_url:
        plain = attachment_config(
            tmp_path,
            command=("/bin/sh", "-c", script),
            sandbox=SandboxSettings(SandboxKind.BUBBLEWRAP, hidden=(tmp_path, tmp_path / "state")),
        )
        token = TokenSource(path=tmp_path / "alpha.token")
        server = attrs.evolve(
            plain.server, base_url=base_url, network_id=NetworkId("net_a"), auth_mode=AuthMode.BEARER, token=token
        )
        agent = attrs.evolve(plain.agent, id=AgentId("alpha"))
        config = attrs.evolve(plain, agent=agent, server=server, rooms=(RoomBinding(RoomId("general")),))
        event_id = event_id_of_message("msg_1")
        said = attrs.evolve(message(), network_id=NetworkId("net_a"))
        conversation = Conversation(NetworkId("net_a"), TargetKind.ROOM, "general")
        wake = Wake(event_id, event_id, said, WakeReason.ROOM, "> hello")
        turn = await TurnMaker(config, {}).make(conversation, [wake], frozenset())
        async with open_runtime(config) as runtime:
            await runtime.run_turn(attrs.evolve(turn, environment={**turn.environment, **watch.environment}))
        async with open_client(base_url, ALPHA_TOKEN, environ={}) as client:
            posted = (await client.messages(said.target)).messages
    assert [part.text for each in posted for part in each.parts] == ["from inside"]
    assert "from inside" in (box.workspace / "read").read_text()
