"""The page about operating: its steps are carried out, and what it says of the units stands in them."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.cli.test_service import UNITS
from tests.docs.pages import doc
from tests.e2e.running import MOLTNET

PAGE = doc("operating.md")


@pytest.mark.slow
def test_the_first_network_of_the_page_is_there_and_can_be_a_service(tmp_path: Path) -> None:
    script = PAGE.setup() + "moltnet service install server --dry-run > unit\n"
    environ = {"PATH": f"{MOLTNET.parent}:/usr/bin:/bin", "HOME": str(tmp_path)}
    subprocess.run(["bash", "-eu", "-c", script], cwd=tmp_path, env=environ, check=True, capture_output=True)
    assert f"MOLTNET_CONFIG={tmp_path}/lab/Moltnet" in (tmp_path / "lab" / "unit").read_text()


def test_what_the_table_says_of_the_units_is_so() -> None:
    table = PAGE.section("As a service")
    rows = re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE)
    named = {word for row in rows for word in re.findall("`([^`]+)`", row)}
    units = "".join(text for name, text in UNITS.items() if name.endswith(".service"))
    assert len(named) > 15
    assert [word for word in named if f"\n{word}" not in units] == []


def test_what_only_a_server_is_forbidden_is_not_forbidden_to_a_node() -> None:
    for rule in (
        "MemoryDenyWriteExecute",
        "RestrictNamespaces",
        "SystemCallFilter",
        "ProtectKernelTunables",
        "ProtectHome",
    ):
        assert f"\n{rule}=" in UNITS["server-system.service"]
        assert f"\n{rule}=" not in UNITS["node-system.service"]
    assert "\nProtect" not in UNITS["server-user.service"] + UNITS["node-user.service"]
