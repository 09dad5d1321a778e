"""What every store promises about artifacts (message model §8, §11)."""

import pytest

from moltnet.protocol.artifacts import Artifact, artifacts_of
from moltnet.protocol.codec import decode
from moltnet.protocol.messages import Part, PartKind
from moltnet.protocol.pages import PageRequest
from moltnet.storage.limits import MAX_PAGE_BYTES
from moltnet.storage.records import History, StoredPage
from moltnet.storage.store import Store, UnknownCursor
from tests.storage.examples import (
    create_room,
    direct_history,
    direct_post,
    link,
    post,
    room_history,
    thread_history,
    thread_post,
    with_parts,
)

WORDS = Part(kind=PartKind.TEXT, text="words")


def artifact_ids(page: StoredPage) -> list[str]:
    return [decode(body, Artifact).id for body in page.items]


class ArtifactContract:
    @pytest.fixture
    async def listed(self, store: Store) -> History:
        """Nine artifacts of a room, some of them in a thread, with those of others around them."""
        await store.commit([create_room(), create_room("other")])
        for number in range(1, 4):
            await store.commit(
                [
                    with_parts(post(f"m{number}"), link("http://a.test/1"), WORDS, link("http://a.test/2")),
                    with_parts(post(f"other{number}", "other"), link("http://a.test/3")),
                    with_parts(thread_post(f"t{number}", "thread"), WORDS, link("http://a.test/4")),
                    with_parts(direct_post(f"d{number}", "direct"), link("http://a.test/5")),
                    post(f"plain{number}"),
                ]
            )
        return room_history()

    async def test_a_list_holds_what_its_conversation_holds(self, store: Store, listed: History) -> None:
        for history, expected in [
            (listed, [f"art_{name}{number}_{part}" for number in (1, 2, 3) for name, part in IN_THE_ROOM]),
            (room_history("other"), ["art_other1_0", "art_other2_0", "art_other3_0"]),
            (thread_history("thread"), ["art_t1_1", "art_t2_1", "art_t3_1"]),
            (direct_history("direct"), ["art_d1_0", "art_d2_0", "art_d3_0"]),
            (room_history("nowhere"), []),
        ]:
            page = await store.artifact_page(history, PageRequest())
            assert (artifact_ids(page), page.has_more) == (expected, False)

    @pytest.mark.parametrize(
        ("page", "expected", "has_more"),
        [
            (PageRequest(limit=2), ["art_m3_2", "art_t3_1"], True),
            (PageRequest(limit=2, before="art_m3_2"), ["art_t2_1", "art_m3_0"], True),
            (PageRequest(limit=2, before="art_t1_1"), ["art_m1_0", "art_m1_2"], False),
            (PageRequest(limit=2, before="art_m1_0"), [], False),
            (PageRequest(limit=2, after="art_m1_0"), ["art_m1_2", "art_t1_1"], True),
            (PageRequest(limit=2, after="art_m3_0"), ["art_m3_2", "art_t3_1"], False),
            (PageRequest(limit=2, after="art_t3_1"), [], False),
        ],
    )
    async def test_a_page_of_artifacts_tells_whether_more_follow_in_its_direction(
        self, store: Store, listed: History, page: PageRequest, expected: list[str], has_more: bool
    ) -> None:
        found = await store.artifact_page(listed, page)
        assert (artifact_ids(found), found.has_more) == (expected, has_more)
        assert (found.first_id, found.last_id) == ((expected[0], expected[-1]) if expected else ("", ""))

    @pytest.mark.parametrize("cursor", ["art_other1_0", "art_d1_0", "art_m1_1", "art_m1_00", "m1", "none"])
    async def test_a_cursor_of_another_list_is_refused(self, store: Store, listed: History, cursor: str) -> None:
        for page in (PageRequest(before=cursor), PageRequest(after=cursor)):
            with pytest.raises(UnknownCursor):
                await store.artifact_page(listed, page)

    async def test_an_artifact_tells_all_but_text_and_data(self, store: Store) -> None:
        picture = Part(
            kind=PartKind.IMAGE, text="alt", media_type="image/png", url="molt://x", filename="a.png", data={"a": 1}
        )
        command = with_parts(post("m1", seconds=3), picture)
        await store.commit([create_room(), command])
        (body,) = (await store.artifact_page(room_history(), PageRequest())).items
        assert (decode(body, Artifact),) == artifacts_of(command.message)
        assert b"alt" not in body

    async def test_a_message_that_is_refused_or_repeated_adds_none(self, store: Store) -> None:
        command = with_parts(post("m1"), link("http://a.test"))
        await store.commit([command, create_room()])
        assert (await store.artifact_page(room_history(), PageRequest())).items == ()
        await store.commit([command, command])
        await store.commit([command])
        assert artifact_ids(await store.artifact_page(room_history(), PageRequest())) == ["art_m1_0"]

    async def test_pages_of_large_artifacts_fit_into_one_answer(self, store: Store) -> None:
        url = "http://a.test/" + "x" * (MAX_PAGE_BYTES * 2 // 5)
        await store.commit([create_room(), *(with_parts(post(f"m{number}"), link(url)) for number in range(3))])
        page = await store.artifact_page(room_history(), PageRequest())
        assert (artifact_ids(page), page.has_more) == (["art_m1_0", "art_m2_0"], True)


IN_THE_ROOM = (("m", 0), ("m", 2), ("t", 1))
