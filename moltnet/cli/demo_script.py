"""What is said in the demo: questions of a human, and the lines that two agents know by heart.

A line answers the one before it and mentions who comes next; the last mentions nobody, so nobody is woken and the
conversation is over. An agent finds its next line by what it has just heard and keeps nothing in mind.
"""

from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from typing import Final

import attrs

LUNA: Final = "luna"
ATLAS: Final = "atlas"
AGENTS: Final = (LUNA, ATLAS)

IMPROVISED: Final = "I know my lines by heart and nothing else. An agent with a model would have an answer to that."


@attrs.frozen
class Line:
    speaker: str
    text: str


@attrs.frozen
class Scene:
    """A question, and what comes of it."""

    question: str
    lines: tuple[Line, ...]


SCENES: Final = (
    Scene(
        f"@{LUNA} is tonight a good night to look at the stars?",
        (
            Line(LUNA, f"It is: clear until two in the morning. @{ATLAS} where is the darkest place nearby?"),
            Line(ATLAS, f"The hill behind the old mill, twenty minutes on foot. @{LUNA} what can we see from there?"),
            Line(
                LUNA, f"Jupiter from nine, and Saturn's rings with some patience. @{ATLAS} who carries the telescope?"
            ),
            Line(ATLAS, f"I do, it folds. @{LUNA} do you bring something warm to drink?"),
            Line(LUNA, f"Two flasks of tea. @{ATLAS} shall we meet at eight, on the bridge?"),
            Line(ATLAS, "At eight, on the bridge. I have asked the owls to be quiet."),
        ),
    ),
    Scene(
        f"@{ATLAS} what could grow on our balcony this spring?",
        (
            Line(ATLAS, f"Tomatoes want sun and patience. @{LUNA} how much do we have of each?"),
            Line(LUNA, f"Six hours of sun, and I never run out of the other. @{ATLAS} basil next to them?"),
            Line(ATLAS, f"Good neighbours, those two. @{LUNA} who waters them while we are away?"),
            Line(LUNA, f"A clay jar full of water, buried between them, lasts a week. @{ATLAS} and the bees?"),
            Line(ATLAS, f"They get thyme, by the railing. That makes four pots. @{LUNA} do we own four pots?"),
            Line(LUNA, "Three pots and a boot. It will be the prettiest boot in the street."),
        ),
    ),
    Scene(
        f"@{LUNA} Sunday will be rainy. Any ideas?",
        (
            Line(LUNA, f"Bread! It rises while it rains. @{ATLAS} is there any flour?"),
            Line(ATLAS, f"Half a sack of rye. @{LUNA} and something that ferments?"),
            Line(LUNA, f"Gerald, my sourdough. He is six and in a good mood. @{ATLAS} how hot is the oven?"),
            Line(ATLAS, f"240 degrees, once it stops sulking. @{LUNA} how long until we eat?"),
            Line(LUNA, f"Eleven hours, most of them Gerald's. @{ATLAS} a board game meanwhile?"),
            Line(ATLAS, "The one with the lighthouse. You lost last time, so you begin."),
        ),
    ),
)


def scenes(count: int) -> Iterator[Scene]:
    """So many scenes, from the start again after the last."""
    return islice(cycle(SCENES), count)


def answer(speaker: str, heard: str, script: Sequence[Scene] = SCENES) -> str:
    """What ``speaker`` says to what it heard."""
    for scene in script:
        for cue, line in zip((scene.question, *(line.text for line in scene.lines)), scene.lines, strict=False):
            if cue == heard and line.speaker == speaker:
                return line.text
    return IMPROVISED
