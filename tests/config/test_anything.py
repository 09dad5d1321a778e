"""Whatever a file holds, a loader returns a configuration or raises ``ConfigError``, one line for each problem."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.attachment_file import BridgeFile
from bridge.config import load_bridge_config
from moltnet.config.client import load_client_config
from moltnet.config.client_file import ClientFile
from moltnet.config.files import ConfigError
from moltnet.config.server import load_server_config
from moltnet.config.server_file import ServerFile
from moltnet.config.shapes import known_keys
from node.config import NodeFile, load_node_config

LOADERS: dict[str, tuple[type, Callable[[Path], object]]] = {
    "server": (ServerFile, lambda path: load_server_config(path, {}, path.parent)),
    "node": (NodeFile, lambda path: load_node_config(path, {}, path.parent)),
    "bridge": (BridgeFile, lambda path: load_bridge_config(path, path.parent)),
    "client": (ClientFile, lambda path: load_client_config(path, {}, path.parent)),
}

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["alpha", "none", "bearer", "open", "http://h", ":8787", "7d", "all", "codex", "sqlite", ""]),
)


def trees(kind: type) -> st.SearchStrategy[Any]:
    """Documents that use the keys of ``kind``, in places right and wrong, with values right and wrong."""
    keys = st.one_of(st.sampled_from(sorted(set(known_keys(kind)))), st.text(max_size=4))
    inner = st.recursive(
        SCALARS,
        lambda deeper: st.one_of(st.lists(deeper, max_size=3), st.dictionaries(keys, deeper, max_size=4)),
        max_leaves=12,
    )
    top = st.sampled_from([field.name for field in attrs.fields(kind)])
    return st.dictionaries(top, inner, max_size=5)


def is_loaded_or_explained(load: Callable[[Path], object], path: Path) -> bool:
    try:
        return load(path) is not None
    except ConfigError as error:
        return 0 < len(error.problems) == len(str(error).splitlines())


@pytest.mark.parametrize("name", LOADERS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_any_document_is_a_configuration_or_a_config_error(name: str, data: st.DataObject, tmp_path: Path) -> None:
    kind, load = LOADERS[name]
    path = tmp_path / "f.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps(data.draw(trees(kind))))
    assert is_loaded_or_explained(load, path)


@pytest.mark.parametrize("extension", ["yaml", "json"])
@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    content=st.one_of(
        st.binary(max_size=60), st.text("abc:-[]{}#&*!|>'\"%@`,? \t\n\\/<0.5", max_size=60).map(str.encode)
    )
)
def test_any_bytes_are_a_configuration_or_a_config_error(extension: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"f.{extension}"
    path.touch(mode=0o600)
    path.write_bytes(content)
    for _, load in LOADERS.values():
        assert is_loaded_or_explained(load, path)
