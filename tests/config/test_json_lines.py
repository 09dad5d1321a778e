import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moltnet.config.json_lines import json_lines
from moltnet.config.problems import ConfigError
from moltnet.config.server import load_server_config

TEXT = """\
{
\t"auth": {
    "mode": "bearer", "tokens": [
      {"id": "a{[,:\\"]}",
       "scopes": ["write",
                  "reed"]}
    ],
    "\\u0061gain": null,
    "empty": [], "none": {}
  }
}
"""


def test_every_path_has_the_line_of_its_key() -> None:
    assert json_lines(TEXT) == {
        "$": 1,
        "$.auth": 2,
        "$.auth.mode": 3,
        "$.auth.tokens": 3,
        "$.auth.tokens[0]": 4,
        "$.auth.tokens[0].id": 4,
        "$.auth.tokens[0].scopes": 5,
        "$.auth.tokens[0].scopes[0]": 5,
        "$.auth.tokens[0].scopes[1]": 6,
        "$.auth.again": 8,
        "$.auth.empty": 9,
        "$.auth.none": 9,
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet='ab"\\\n{}[],: '), inner),
    max_leaves=20,
)


def paths(value: Any, path: str) -> set[str]:
    match value:
        case dict():
            return {path}.union(*(paths(item, f"{path}.{key}") for key, item in value.items()))
        case list():
            return {path}.union(*(paths(item, f"{path}[{index}]") for index, item in enumerate(value)))
        case _:
            return {path}


@given(JSON, st.sampled_from([None, 0, 2, "\t"]))
def test_of_any_text_every_path_is_found_and_no_other(value: Any, indent: int | str | None) -> None:
    text = json.dumps(value, indent=indent)
    assert json_lines(text).keys() == paths(value, "$")
    assert max(json_lines(text).values()) <= text.count("\n") + 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{\n "auth": {\n  "mode": "bearrer"\n }\n}', ":3: $.auth.mode: "),
        ('{\n "auth": {},\n\n "auth": {}\n}', ":4: $.auth: is given twice"),
        ('{\n "rooms": [\n  {"id": "a"},\n  {"name": "b"}\n ]\n}', ":4: $.rooms[1].id: is required"),
        ('{\n "server": {\n  "listen_adr": ":1"\n }\n}', ":3: $.server.listen_adr: is not a known field"),
    ],
)
def test_problems_of_a_json_file_name_its_lines(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "moltnet.json"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_server_config(file, {}, tmp_path)
    assert expected in str(caught.value)
