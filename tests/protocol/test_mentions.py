"""Which names a text mentions, and which members they mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moltnet.protocol.ids import NetworkId, is_id
from moltnet.protocol.limits import MAX_MENTIONS
from moltnet.protocol.mentions import mentions_in, resolve_mentions
from moltnet.protocol.messages import Part

HERE, THERE = NetworkId("net_a"), NetworkId("net_b")
ALIASES = {
    "net_a": frozenset({HERE}),
    "Home": frozenset({HERE}),
    "partner": frozenset({THERE}),
    "net_b": frozenset({THERE}),
    "both": frozenset({HERE, THERE}),
}
MEMBERS = ("alpha", "net_b:beta", "molt://net_b/agents/gamma", "delta", "net_b:delta")


def in_text(text: str) -> list[str]:
    return list(mentions_in([Part("text", text)]))


def resolved(*candidates: str) -> tuple[str, ...]:
    return resolve_mentions(candidates, MEMBERS, HERE, ALIASES)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", []),
        ("nobody", []),
        ("hi @beta", ["beta"]),
        ("@beta @gamma", ["beta", "gamma"]),
        ("@beta and @beta", ["beta", "beta"]),
        ("(@beta)", ["beta"]),
        ("a@beta", ["beta"]),
        ("@@beta", ["beta"]),
        ("@be.ta-2_x", ["be.ta-2_x"]),
        ("@net_b:beta", ["net_b:beta"]),
        ("@net_b:beta:1", ["net_b:beta"]),
        ("<@molt://net_b/agents/beta>", ["molt://net_b/agents/beta"]),
        ("<@molt://net_b/agents/beta>, @alpha", ["molt://net_b/agents/beta", "alpha"]),
        ("@molt://net_b/agents/beta @alpha", ["alpha"]),
        ("@molt://net_b/agents/@beta", []),
        ("<@molt://net_b/agents/beta", []),
        ("<@beta>", ["beta"]),
        ("@", []),
        ("@ beta", []),
        ("@:beta", []),
        ("@\u0000", []),
        ("@bêta", ["b"]),
        ("@β", []),
        ("@beta\u2028@gamma\u0000@delta", ["beta", "gamma", "delta"]),
    ],
)
def test_names_are_found_in_text(text: str, names: list[str]) -> None:
    assert in_text(text) == names


@pytest.mark.parametrize(
    "mark", [".", "-", "...", ",", "!", "?", ":", ";", "'s", ")", "*", "`", ".-.", ":-)", "…", "\n"]
)
@pytest.mark.parametrize("name", ["beta", "net_b:beta", "be-ta.2", "beta_"])
def test_punctuation_after_a_name_is_not_part_of_it(name: str, mark: str) -> None:
    assert in_text(f"thanks @{name}{mark}") == [name]
    assert in_text(f"thanks @{name}{mark} and @alpha{mark}") == [name, "alpha"]


def test_only_text_parts_mention() -> None:
    parts = [Part("text", "@alpha"), Part("data", "@beta"), Part(" text ", "@gamma"), Part("text", "@delta")]
    assert list(mentions_in(parts)) == ["alpha", "delta"]


@given(st.text())
def test_a_name_found_in_any_text_stands_in_it_after_an_at_sign(text: str) -> None:
    for name in in_text(text):
        assert f"@{name}" in text
        assert name.startswith("molt://") or is_id(name[:128])


@pytest.mark.parametrize(
    "text",
    ["@" * 200_000, "@a" * 200_000, "@a." * 200_000, "<@molt://" * 50_000, "@" + "a." * 300_000, "@a:" * 200_000],
)
def test_a_hostile_text_is_read_in_one_pass(text: str) -> None:
    # A pattern that backtracks would not come back within the suite's own time limit.
    assert all(len(name) <= len(text) for name in in_text(text))


@pytest.mark.parametrize(
    ("candidate", "fqid"),
    [
        ("alpha", "molt://net_a/agents/alpha"),
        (" alpha ", "molt://net_a/agents/alpha"),
        ("net_a:alpha", "molt://net_a/agents/alpha"),
        ("Home:alpha", "molt://net_a/agents/alpha"),
        ("molt://net_a/agents/alpha", "molt://net_a/agents/alpha"),
        ("beta", "molt://net_b/agents/beta"),
        ("partner:beta", "molt://net_b/agents/beta"),
        ("net_b:gamma", "molt://net_b/agents/gamma"),
        ("net_b:delta", "molt://net_b/agents/delta"),
        ("net_a:delta", "molt://net_a/agents/delta"),
    ],
)
def test_each_spelling_of_a_member_means_that_member(candidate: str, fqid: str) -> None:
    assert resolved(candidate) == (fqid,)


@pytest.mark.parametrize(
    "candidate",
    [
        "",
        " ",
        "unknown",
        "Alpha",
        "delta",
        "both:delta",
        "stranger:beta",
        "net_b:alpha",
        "molt://net_b/agents/alpha",
        "molt://net_b/rooms/beta",
        "molt://net_b/agents/be ta",
        "home:alpha",
        "net_b:",
    ],
)
def test_an_unknown_or_ambiguous_name_means_nobody(candidate: str) -> None:
    assert resolved(candidate) == ()


def test_members_come_in_the_order_of_their_names_and_once() -> None:
    assert resolved("beta", "alpha", "partner:beta", "nobody", "molt://net_a/agents/alpha") == (
        "molt://net_b/agents/beta",
        "molt://net_a/agents/alpha",
    )


def test_two_spellings_of_one_member_do_not_make_its_name_ambiguous() -> None:
    members = ("alpha", "net_a:alpha", "molt://net_a/agents/alpha")
    assert resolve_mentions(["alpha"], members, HERE, {}) == ("molt://net_a/agents/alpha",)


def test_a_message_mentions_a_bounded_number_of_members() -> None:
    members = [f"a{number}" for number in range(2 * MAX_MENTIONS)]
    assert len(resolve_mentions(members, members, HERE, {})) == MAX_MENTIONS


def test_a_message_full_of_names_is_resolved_name_by_name() -> None:
    # 100,000 names against 1,000 members: work for each pair would not come back within the suite's own time limit.
    names = in_text(" ".join(f"@x{number}" for number in range(100_000)))
    assert len(names) == 100_000
    assert resolve_mentions([*names, "a7"], [f"a{number}" for number in range(1000)], HERE, {}) == (
        "molt://net_a/agents/a7",
    )


@given(st.lists(st.text()), st.lists(st.text(min_size=1)))
def test_any_names_and_members_give_addresses_of_members(candidates: list[str], members: list[str]) -> None:
    found = resolve_mentions(candidates, members, HERE, ALIASES)
    assert len(set(found)) == len(found) <= len(candidates)
    assert all(fqid.startswith("molt://") for fqid in found)
