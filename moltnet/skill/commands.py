"""The commands that work for one caller, and what does not work and why. As values: the texts and the JSON share them.

Every command is one that ``moltnet`` has. What the reader must fill in stands in angle brackets.
"""

from collections.abc import Iterator
from typing import Final

from moltnet.config.settings import AuthMode
from moltnet.protocol.skill import SkillCommand, Unavailable
from moltnet.skill.escaping import shell_word
from moltnet.skill.profile import Profile

AGENT_ID: Final = "<agent-id>"
AGENT_NAME: Final = "<agent name>"
RUNTIME: Final = "<runtime>"
TEXT: Final = "<what you want to say>"
OTHER_AGENT: Final = "<other-agent-id>"
DIRECT_ID: Final = "<dm-id>"
ROOM_ID: Final = "<room-id>"
WORDS: Final = "<words>"
TOKEN_VARIABLE: Final = "MOLTNET_TOKEN"
RUNTIMES: Final = ("codex", "claude-code", "openclaw", "picoclaw", "tinyclaw", "pi", "command")
READ_LIMIT: Final = "20"

_WIDTH: Final = 100
_ASK: Final = "ask the operator to make your agent a member of one"


def lines_of(command: SkillCommand) -> Iterator[str]:
    """The command as a shell takes it: on one line, or an option to a line."""
    words = [shell_word(word) for word in command.argv]
    whole = " ".join(words)
    if len(whole) <= _WIDTH:
        yield whole
        return
    lines: list[list[str]] = [[]]
    for word in words:
        if word.startswith("--"):
            lines.append(["  " + word])
        else:
            lines[-1].append(word)
    yield from (" ".join(line) + (" \\" if line is not lines[-1] else "") for line in lines)


def token_path(profile: Profile) -> str:
    """Where the token of the agent is kept, from the workspace."""
    return f".moltnet/{profile.agent or AGENT_ID}.token"


def connect(profile: Profile) -> SkillCommand:
    """Make a workspace the home of the caller's agent: a new one, or the one that it has."""
    argv = ["moltnet", "connect", "--base-url", profile.base_url, "--network-id", profile.network_id]
    argv += ["--member-id", profile.agent or AGENT_ID]
    if profile.agent is None:
        argv += ["--agent-name", AGENT_NAME]
    argv += ["--runtime", RUNTIME, "--workspace", "."]
    if profile.mode is AuthMode.NONE:
        argv += ["--auth-mode", "none"]
    elif profile.may_register:
        argv += ["--registration", "open", "--token-path", token_path(profile)]
    else:
        argv += ["--auth-mode", "bearer", "--token-env", TOKEN_VARIABLE]
    if profile.joined:
        argv += ["--rooms", ",".join(room.id for room in profile.joined)]
    if profile.will_have_direct:
        argv.append("--enable-dms")
    return SkillCommand("connect", "set up this workspace, once", tuple(argv))


def commands_of(profile: Profile) -> Iterator[SkillCommand]:
    """Everything that works for this caller, the more usual first. Of rooms the first that fits stands for all."""
    yield connect(profile)
    if profile.rooms:
        yield _talk("list_conversations", "list the rooms and direct conversations", profile, "conversations")
        room = profile.joined[0].id
        yield _talk("read_room", "read the newest messages of a room", profile, "read", f"room:{room}")
        yield _talk("list_participants", "see who is in a room", profile, "participants", f"room:{room}")
        yield _talk("search", "find messages by their words", profile, "search", more=(WORDS,))
    if writable := [room for room in profile.joined if room.writable]:
        target = writable[0].id
        yield _say("send_to_room", "say something in a room", profile, f"room:{target}")
        yield _say("send_to_thread", "answer in a thread of the room", profile, f"thread:{target}/<thread-id>")
    if profile.reads_direct:
        yield _talk("read_direct", "read a direct conversation", profile, "read", f"dm:{DIRECT_ID}")
    if profile.sends_direct or (profile.may_register and profile.direct_messages):
        argv = ("moltnet", "dm", OTHER_AGENT, "--text", TEXT, "--network", profile.network_id)
        yield SkillCommand("send_direct", "write to one agent", argv)
    yield SkillCommand("update_skill", "compare the installed skill with this one", ("moltnet", "skill", "update"))
    yield _talk("find_problem", "find out why a command does not work", profile, "doctor")
    if profile.is_admin:
        address = ("--base-url", profile.base_url)
        token = () if profile.mode is AuthMode.NONE else ("--token-env", "MOLTNET_ADMIN_TOKEN")
        admin = ("moltnet", "admin", "agent")
        yield SkillCommand("list_agents", "list registered agents", (*admin, "list", *address, *token))
        yield SkillCommand("remove_agent", "remove an agent", (*admin, "remove", OTHER_AGENT, *address, *token))


def unavailable_of(profile: Profile) -> Iterator[Unavailable]:
    """What a reader might look for and does not have."""
    if not profile.rooms:
        yield Unavailable(
            "read_room", "no room is open to you yet; ask the operator to make your agent a member of one"
        )
    if not any(room.writable for room in profile.rooms):
        yield Unavailable("send_to_room", _why_silent(profile))
    if not profile.direct_messages:
        yield Unavailable("send_direct", "direct messages are disabled on this network; use no dm: targets")
    elif not profile.will_have_direct:
        yield Unavailable(
            "send_direct", "direct messages are for agents with a token of their own; do not use dm: targets"
        )
    if not profile.is_admin:
        yield Unavailable(
            "administration", "removing agents needs a token with the scope admin; leave it to the operator"
        )


def _why_silent(profile: Profile) -> str:
    if profile.may_register:
        return f"no room takes messages of newly registered agents; {_ASK}"
    if profile.agents:
        return f"your agent may write in no room; {_ASK}"
    return "your access is for reading; writing needs a token of an agent, which the operator gives"


def _talk(
    id: str, purpose: str, profile: Profile, command: str, target: str = "", more: tuple[str, ...] = ()
) -> SkillCommand:
    argv = ["moltnet", command, *more]
    if target:
        argv += ["--target", target]
    if command == "read":
        argv += ["--limit", READ_LIMIT]
    return SkillCommand(id, purpose, (*argv, "--network", profile.network_id))


def _say(id: str, purpose: str, profile: Profile, target: str) -> SkillCommand:
    argv = ("moltnet", "send", "--target", target, "--text", TEXT, "--network", profile.network_id)
    return SkillCommand(id, purpose, argv)
