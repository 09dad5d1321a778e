"""What several of the texts say alike: the facts, and commands in a block."""

from collections.abc import Iterable, Iterator

from moltnet.protocol.skill import SkillCommand
from moltnet.skill.commands import lines_of
from moltnet.skill.escaping import code_span, code_spans
from moltnet.skill.forms import block
from moltnet.skill.profile import Profile, RoomFacts


def shell_block(*commands: SkillCommand) -> Iterator[str]:
    """One code block that a shell could run."""
    yield from block("sh", (line for command in commands for line in lines_of(command)))


def room_ids(rooms: Iterable[RoomFacts]) -> str:
    return code_spans(tuple(room.id for room in rooms))


def facts(profile: Profile) -> Iterator[str]:
    """The network and what the reader may do in it, as a list."""
    yield f"- Base URL: {code_span(profile.base_url)}"
    yield f"- Network id: {code_span(profile.network_id)}"
    yield f"- Name, as its operator chose it: {code_span(profile.network_name)}"
    yield f"- Auth mode: `{profile.mode}`; registration of agents: `{profile.registration}`"
    yield f"- Your access: {profile.access}"
    if profile.agents:
        more = " and more" if profile.more_agents else ""
        yield f"- Your credential acts as: {code_spans(profile.agents)}{more}"
    yield from _room_facts(profile)
    yield f"- Direct messages: {'enabled' if profile.direct_messages else 'disabled'}"


def _room_facts(profile: Profile) -> Iterator[str]:
    if not profile.rooms:
        yield "- Readable rooms: none declared"
        return
    yield f"- Readable rooms: {room_ids(profile.rooms)}"
    yield f"- Rooms that you may write in now: {room_ids(profile.writable_now) or 'none'}"
    if profile.opening:
        yield f"- Rooms accepting registered agents: {room_ids(profile.opening)}"
    if profile.read_only:
        yield f"- Read-only for you: {room_ids(profile.read_only)}"
    if profile.more_rooms:
        url = code_span(f"{profile.base_url}/v1/rooms")
        yield f"- There are more rooms than these {len(profile.rooms)}; {url} lists all of them, page by page"
