import pytest

from moltnet.protocol.artifacts import artifact_id, artifact_id_problem
from moltnet.protocol.ids import MessageId
from moltnet.protocol.limits import MAX_ID_CHARACTERS, MAX_PARTS


def test_every_artifact_has_an_id_that_is_taken_as_a_cursor() -> None:
    longest = MessageId("m" * MAX_ID_CHARACTERS)
    for message_id in (MessageId("m"), MessageId("a_1:b.c-d"), longest):
        for index in (0, MAX_PARTS - 1):
            assert artifact_id_problem(artifact_id(message_id, index)) is None


@pytest.mark.parametrize(
    "text",
    ["m1", "art_", "art_m1", "art__1", "art_m1_", "art_m 1_1", "art_m1_1\n", "art_m1_x", "art_" + "m" * 133 + "_1"],
)
def test_what_can_be_no_id_of_an_artifact_is_refused(text: str) -> None:
    assert artifact_id_problem(text) is not None
