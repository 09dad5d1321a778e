"""Whatever a file looks like: after a change it says what was there, and the change."""

from copy import deepcopy
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from moltnet.config.documents import parse_document
from moltnet.config.splice import Append, Change, SetKey, spliced

TEXTS = st.text("ab: #-\"'{}[],|>&*!%@\\é", max_size=12)
SCALARS = st.one_of(TEXTS, st.booleans(), st.integers(0, 99), st.none())
ENTRIES = st.dictionaries(st.sampled_from(["id", "value", "scopes", "note"]), SCALARS, max_size=3)
LISTS = st.one_of(st.none(), st.lists(ENTRIES, max_size=3))
FILES = st.fixed_dictionaries(
    {},
    optional={
        "network": st.fixed_dictionaries({"id": TEXTS}),
        "auth": st.one_of(
            st.none(), st.fixed_dictionaries({}, optional={"mode": TEXTS, "tokens": LISTS, "last": TEXTS})
        ),
        "rooms": LISTS,
        "pairings": LISTS,
        "log": st.one_of(st.none(), TEXTS),
    },
)
NEW = st.fixed_dictionaries({"id": TEXTS, "value": TEXTS, "rooms": st.lists(TEXTS, max_size=2), "on": st.booleans()})
COMMENTS = st.sampled_from(["", "# a comment: [with] {marks}\n", "\n\n# two\n"])


def said(text: str) -> Any:
    document = parse_document(text.encode(), is_json=False)
    assert document.problems == (), text
    return document.root


@settings(max_examples=60, deadline=None)
@given(
    file=FILES,
    entry=NEW,
    flow=st.sampled_from([None, True, False]),
    indent=st.sampled_from([2, 4]),
    comments=st.tuples(COMMENTS, COMMENTS),
    newline=st.sampled_from(["\n", "\r\n"]),
)
def test_any_file_says_what_it_said_and_the_change(
    file: dict[str, Any],
    entry: dict[str, Any],
    flow: bool | None,
    indent: int,
    comments: tuple[str, str],
    newline: str,
) -> None:
    text = yaml.safe_dump(file, default_flow_style=flow, indent=indent, allow_unicode=True, sort_keys=False)
    text = (comments[0] + text + comments[1]).replace("\n", newline)
    wanted = deepcopy(said(text))
    changes: list[Change] = [Append(("pairings",), entry), Append(("auth", "tokens"), entry), Append(("rooms",), entry)]
    changes += [SetKey(("pairings",), 0, "value", "x: #"), SetKey(("pairings",), 0, "new", True)]
    for change in changes:
        change.applied(wanted)
    assert said(spliced(text, changes, is_json=False)) == wanted
