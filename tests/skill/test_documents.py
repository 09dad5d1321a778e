"""What the documents say: commands that `moltnet` has, files that the node loads, nothing that a value could add."""

import re
from pathlib import Path

import click
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from moltnet.auth.claims import CredentialKind
from moltnet.config.settings import AuthMode, Registration
from moltnet.config.skill_files import SKILL_PATHS
from moltnet.config.wake import WakePolicy
from moltnet.protocol.codec import encode
from moltnet.protocol.ids import AgentId
from moltnet.protocol.limits import MAX_DOCUMENT_ROOMS, MAX_ID_CHARACTERS, MAX_JOINED_ROOMS, MAX_SKILL_BYTES
from moltnet.skill.bundled import bundled_skill
from moltnet.skill.commands import RUNTIMES, commands_of
from moltnet.skill.document import skill_document
from moltnet.skill.escaping import one_line
from moltnet.skill.profile import Profile
from moltnet.skill.snippets import RUNTIME_NOTES
from moltnet.skill.texts import index_text, install_document, skill_text, skill_version
from tests.skill.documents import HOSTILE, blocks, commands, front_matter, load, parse, profile, room_facts, stranger

NOBODY = {"agents": (), "reads_direct": False, "sends_direct": False}
READERS = {
    "agent": profile(),
    "stranger": stranger(),
    "visitor": stranger(registration=Registration.DISABLED, mode=AuthMode.BEARER),
    "agent in no room": profile(rooms=()),
    "agent that only reads": profile(rooms=(room_facts("hall", can_write=False),)),
    "observer": profile(kind=CredentialKind.STATIC, **NOBODY, rooms=(room_facts("hall", can_write=False),)),
    "operator": profile(kind=CredentialKind.STATIC, **NOBODY, is_admin=True, observes=True),
    "anybody": profile(kind=CredentialKind.UNCHECKED, mode=AuthMode.NONE, is_admin=True, **NOBODY),
    "without direct messages": profile(direct_messages=False, reads_direct=False, sends_direct=False),
    "several agents": profile(agents=(AgentId("alpha"), AgentId("beta"))),
}
readers = pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
values = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=60))


def texts(reader: Profile) -> list[str]:
    return [install_document(reader), skill_text(reader)]


@readers
def test_every_command_is_one_that_moltnet_has(reader: Profile) -> None:
    for text in texts(reader):
        found = [words for words in commands(text) if words[0] == "moltnet"]
        assert len(found) >= 3
        for words in found:
            if words[1:] == ["node", "start", "./MoltnetNode"] or words[1] == "version":
                continue
            parse(words)


@readers
def test_the_values_have_the_same_commands_as_the_text(reader: Profile) -> None:
    in_text = list(commands(skill_text(reader)))
    document = skill_document(reader)
    assert in_text == [list(command.argv) for command in document.commands]
    assert document.version == skill_version(reader) == front_matter(skill_text(reader))["metadata"]["version"]


def test_the_commands_of_the_bundled_skill_exist() -> None:
    for words in commands(bundled_skill()):
        parse(words)


def test_a_command_that_does_not_exist_would_be_noticed() -> None:
    with pytest.raises(click.UsageError):
        parse(["moltnet", "sned"])


@readers
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_node_file_loads_and_says_what_was_meant(reader: Profile, runtime: str, tmp_path: Path) -> None:
    snippets = dict(zip(RUNTIMES, blocks(install_document(reader), "yaml"), strict=True))
    config = load(snippets[runtime], tmp_path)
    (attachment,) = config.attachments
    assert attachment.runtime.kind == runtime
    assert (attachment.server.base_url, attachment.server.network_id) == (reader.base_url, reader.network_id)
    assert attachment.agent.id == (reader.agent or "luna")
    assert [room.id for room in attachment.rooms] == [room.id for room in reader.joined]
    for room, binding in zip(reader.joined, attachment.rooms, strict=True):
        assert binding.wake.policy is (WakePolicy.MENTIONS if room.writable else WakePolicy.NEVER)
    assert (attachment.server.token is None) is (reader.mode is AuthMode.NONE)
    assert attachment.dms.enabled is reader.will_have_direct
    if runtime in ("codex", "claude-code", "command"):
        assert attachment.runtime.workspace_path == tmp_path


def test_every_runtime_has_notes_and_a_place_for_its_skill() -> None:
    assert set(RUNTIMES) == set(RUNTIME_NOTES) == set(SKILL_PATHS)


@readers
def test_a_skill_is_called_moltnet_and_says_where_it_is_from(reader: Profile) -> None:
    head = front_matter(skill_text(reader))
    assert head["name"] == "moltnet"
    assert "name: moltnet\n" in skill_text(reader)
    assert head["metadata"]["source"] == f"{reader.base_url}/skill.md"
    assert len(head["description"]) <= 1024


def test_a_version_changes_with_the_text_and_not_otherwise() -> None:
    assert skill_version(profile()) == skill_version(profile())
    changed = [
        profile(rooms=()),
        profile(network_name="Other"),
        profile(direct_messages=False, sends_direct=False, reads_direct=False),
        profile(base_url="https://other.test"),
    ]
    assert len({skill_version(each) for each in (profile(), *changed)}) == len(changed) + 1
    versions = re.findall(r"Version of this document: `([0-9a-f]+)`", install_document(profile()))
    assert len(versions) == 1


def test_where_nobody_can_mention_the_agent_it_is_said_how_to_be_woken() -> None:
    rooms = (room_facts("agora", can_write=False, opens=True, is_member=False), room_facts("den"))
    assert "Only members can be mentioned, and you are none yet in `agora`" in install_document(stranger(rooms=rooms))
    assert "Only members can be mentioned" not in install_document(profile())


@settings(max_examples=25)  # each renders eight documents and reads all of their YAML
@given(st.data())
def test_no_value_adds_a_block_a_word_a_heading_or_a_key(data: st.DataObject) -> None:
    """The documents with harmless values and with any others are the same but for the values."""
    for make in (profile, stranger):
        plain = make(network_name="x" * 99)  # too long for a title, as most are
        hostile = make(
            base_url=data.draw(values),
            network_id=data.draw(values),
            network_name=data.draw(values) + "!",
            rooms=tuple(
                room_facts(data.draw(values), name=data.draw(values), can_write=room.can_write, opens=room.opens)
                for room in plain.rooms
            ),
            agents=tuple(AgentId(data.draw(values)) for _ in plain.agents),
        )
        for render in (install_document, skill_text):
            before, after = render(plain), render(hostile)
            assert headings(after)[1:] == headings(before)[1:]  # the first names the network
            assert len(blocks(after, "sh")) == len(blocks(before, "sh"))
            assert sum(line.startswith("```") for line in after.splitlines()) == sum(
                line.startswith("```") for line in before.splitlines()
            )
            assert [(len(words), words[:2]) for words in commands(after)] == [
                (len(words), words[:2]) for words in commands(before)
            ]
            for old, new in zip(blocks(before, "yaml"), blocks(after, "yaml"), strict=True):
                assert same_shape(yaml.safe_load(old), yaml.safe_load(new))
        node = yaml.safe_load(blocks(install_document(hostile), "yaml")[0])
        assert node["moltnet"]["base_url"] == one_line(hostile.base_url)
        assert node["moltnet"]["network_id"] == one_line(hostile.network_id)
        assert [room["id"] for room in node["attachments"][0]["rooms"]] == [one_line(r.id) for r in hostile.joined]
        assert front_matter(skill_text(hostile))["name"] == "moltnet"
        assert front_matter(skill_text(hostile))["metadata"]["network"] == one_line(hostile.network_id)
        assert len(index_text(hostile).splitlines()) == len(index_text(plain).splitlines())
        for command in commands_of(hostile):
            assert all(isinstance(word, str) for word in command.argv)


def headings(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("#")]


def same_shape(one: object, other: object) -> bool:
    """The same keys, and the same types everywhere."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_shape(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_shape, one, other))
    return type(one) is type(other)


def test_the_largest_document_is_one_that_every_program_reads() -> None:
    long = [f"{number:03}" + "r" * (MAX_ID_CHARACTERS - 3) for number in range(MAX_DOCUMENT_ROOMS)]
    reader = profile(
        base_url="https://" + "h" * 250 + ":65535",
        network_id="n" * MAX_ID_CHARACTERS,
        network_name="N" * 256,
        rooms=tuple(map(room_facts, long)),
        more_rooms=True,
        agents=tuple(AgentId(f"{number:02}" + "a" * 126) for number in range(16)),
        is_admin=True,
    )
    for text in texts(reader):
        assert len(text.encode()) < MAX_SKILL_BYTES // 2
        assert "There are more rooms than these 100" in text
    assert len(encode(skill_document(reader))) < MAX_SKILL_BYTES // 2
    (connect, *_) = commands_of(reader)
    assert connect.argv[connect.argv.index("--rooms") + 1].count(",") == MAX_JOINED_ROOMS - 1
    assert parse(connect.argv)["rooms"] == (",".join(long[:MAX_JOINED_ROOMS]),)
