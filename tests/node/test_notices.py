"""What a node says about its configuration when it starts."""

from pathlib import Path

import pytest

from bridge.config import RuntimeKind
from node.config import NodeConfig
from node.notices import node_notices
from tests.fakes.attachments import attachment_config


def test_each_thing_that_this_machine_lacks_is_told_once(tmp_path: Path) -> None:
    config = attachment_config(
        tmp_path, RuntimeKind.PI, workspace_path=tmp_path / "nothing", env=("HAS_IT", "HAS_IT_NOT")
    )
    node = NodeConfig((config,), tmp_path / "MoltnetNode", tmp_path / "state")
    assert list(node_notices(node, {"HAS_IT": ""})) == [
        f"agent-1: workspace_path {tmp_path / 'nothing'} is not a directory",
        "agent-1: runtime.env names HAS_IT_NOT, which is not set",
    ]


@pytest.mark.parametrize("kind", [RuntimeKind.CLAUDE_CODE, RuntimeKind.PI])
def test_a_program_that_is_missing_is_told(tmp_path: Path, kind: RuntimeKind) -> None:
    config = attachment_config(tmp_path, kind, command=("moltnet-test-nobody-has-this",))
    [notice] = node_notices(NodeConfig((config,), tmp_path / "MoltnetNode", tmp_path / "state"), {"PATH": "/bin"})
    assert notice.startswith(f"agent-1: runtime kind {kind} cannot start: no program moltnet-test-nobody-has-this")


def test_a_configuration_that_fits_the_machine_has_no_notices(tmp_path: Path) -> None:
    config = attachment_config(tmp_path, env=("HAS_IT",))
    node = NodeConfig((config,), tmp_path / "MoltnetNode", tmp_path / "state")
    assert list(node_notices(node, {"HAS_IT": "x"})) == []


def test_a_node_without_attachments_is_told_which_file_has_none(tmp_path: Path) -> None:
    node = NodeConfig((), tmp_path / "MoltnetNode", tmp_path / "state")
    assert list(node_notices(node, {})) == [f"no attachments in {tmp_path / 'MoltnetNode'}, nothing to do"]
