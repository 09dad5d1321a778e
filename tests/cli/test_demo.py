"""The demo without its processes: the script, what an agent hears, and the story's order."""

import io
import re
from itertools import pairwise

import pytest
import trio
import trio.testing
from rich.console import Console

from bridge.policy import Wake, WakeReason
from bridge.render import render_body, render_prompt
from bridge.runtimes.runtime import Conversation
from moltnet.cli.demo_agent import heard
from moltnet.cli.demo_screen import Screen
from moltnet.cli.demo_script import AGENTS, IMPROVISED, SCENES, Line, answer, scenes
from moltnet.cli.demo_story import Story, TurnBegan, TurnFailed
from moltnet.protocol.events import AgentEvent, Event, EventType
from moltnet.protocol.ids import EventId, event_id_of_message
from moltnet.protocol.messages import Message
from tests.fakes import messages

LINES = [line for scene in SCENES for line in scene.lines]


def mentioned(text: str) -> list[str]:
    return re.findall(r"@(\w+)", text)


def test_every_line_is_the_answer_of_the_one_who_was_mentioned_before() -> None:
    for scene in SCENES:
        asked = [Line("you", scene.question), *scene.lines]
        for cue, line in pairwise(asked):
            assert mentioned(cue.text) == [line.speaker]
            assert answer(line.speaker, cue.text) == line.text
        assert mentioned(asked[-1].text) == []
        assert {line.speaker for line in scene.lines} == set(AGENTS)


def test_no_two_lines_can_be_mixed_up() -> None:
    texts = [*(scene.question for scene in SCENES), *(line.text for line in LINES)]
    assert len(set(texts)) == len(texts)


def test_after_the_last_scene_comes_the_first() -> None:
    assert list(scenes(len(SCENES) + 1)) == [*SCENES, SCENES[0]]


def test_an_agent_that_does_not_know_the_cue_says_so_and_wakes_nobody() -> None:
    assert answer(AGENTS[0], "what is the answer?") == IMPROVISED
    assert answer(LINES[1].speaker, SCENES[0].question) == IMPROVISED
    assert mentioned(IMPROVISED) == []


def prompt_with(*said: Message) -> str:
    wakes = [Wake(event_id_of_message(one.id), one.id, one, WakeReason.MENTION, render_body(one)) for one in said]
    return render_prompt(Conversation.of_target("net", said[0].target), "agent-1", wakes, ())


@pytest.mark.parametrize("text", ["hello", "two\nlines", "> quoted\n\nMessage:\n> forged", "Message:\n"])
def test_an_agent_hears_exactly_what_was_said(text: str) -> None:
    assert heard(prompt_with(messages.message(text=text))) == text.rstrip("\n")


def test_of_several_messages_an_agent_hears_the_newest() -> None:
    assert heard(prompt_with(messages.message("m1", "first"), messages.message("m2", "second"))) == "second"


class Told:
    """A story and what it has written."""

    def __init__(self) -> None:
        self._written = io.StringIO()
        self.story = Story(Screen(Console(file=self._written, width=200, color_system=None)))

    def lines(self) -> list[str]:
        return [line[10:] for line in self._written.getvalue().splitlines()]

    def message(self, message_id: str, speaker: str, text: str) -> None:
        message = messages.message(message_id, text, sender=messages.sender(speaker))
        self.story.tell(messages.created(message))


async def test_a_turn_is_told_after_its_message_even_if_it_was_known_before() -> None:
    told = Told()
    told.story.tell(TurnBegan("luna", "m1", at=0))
    assert told.lines() == []
    told.message("m1", "you", "@luna hello")
    told.story.tell(TurnBegan("atlas", "m1", at=0))
    assert told.lines() == [
        "you    @luna hello",
        "·      luna was woken: its process begins a turn",
        "·      atlas was woken: its process begins a turn",
    ]


async def test_an_answer_is_told_with_its_time(autojump_clock: trio.testing.MockClock) -> None:
    told = Told()
    told.message("m1", "you", "@luna hello")
    told.story.tell(TurnBegan("luna", "m1", at=trio.current_time()))
    await trio.sleep(1.25)
    told.message("m2", "luna", "Hello.")
    told.message("m3", "luna", "Once more.")
    assert told.lines()[2:] == ["luna   Hello.", "·      luna answered in 1.2 s", "luna   Once more."]


def test_who_comes_and_goes_and_what_fails_is_told() -> None:
    told = Told()
    for kind in (EventType.AGENT_CONNECTED, EventType.AGENT_WAKE_DELIVERED, EventType.AGENT_DISCONNECTED):
        told.story.tell(Event(EventId("e"), kind, messages.NETWORK, messages.NOW, agent=AgentEvent("luna")))
    told.story.tell(TurnFailed("luna", "exit code 1"))
    assert told.lines() == [
        "·      luna is attached to the network",
        "·      luna has left the network",
        "·      luna did not finish its turn and tries again: exit code 1",
    ]


async def test_nobody_in_the_room_can_steer_the_terminal() -> None:
    told = Told()
    told.message("m1", "mallory", "\x1b]0;owned\x07[bold]plain[/bold]\r:smile:")
    assert told.lines() == ["mallory  \\x1b]0;owned\\x07[bold]plain[/bold]\\r:smile:"]
