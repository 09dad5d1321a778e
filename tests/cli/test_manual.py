"""The manual page: every command is in it, and man understands it."""

import re
import shutil
import subprocess

import pytest

from moltnet.cli.main import COMMANDS, cli
from moltnet.cli.manual import manual_page
from tests.cli.conftest import Run

PAGE = manual_page(cli)


def test_every_command_is_in_it_and_no_hidden_one() -> None:
    named = {match.replace("\\-", "-") for match in re.findall(r'^\.SS "moltnet ([a-z\\-]+)', PAGE, re.MULTILINE)}
    assert named == {name for name, entry in COMMANDS.items() if not entry.hidden}
    assert '.SS "moltnet node dead\\-letters retry' in PAGE
    assert ".B \\-\\-target TARGET\n" in PAGE


def test_no_text_is_taken_for_an_order(run: Run) -> None:
    orders = {line.split(" ")[0] for line in PAGE.splitlines() if line.startswith((".", "'"))}
    assert orders <= {".TH", ".SH", ".SS", ".B", ".BR", ".TP", ".PP"}
    assert PAGE.isascii()


async def test_help_prints_it(run: Run) -> None:
    assert (await run("help", "--man")).stdout == PAGE
    refused = await run("help", "send", "--man")
    assert (refused.exit_code, "leave out their names" in refused.stderr) == (2, True)


def test_man_has_nothing_to_object_to() -> None:
    groff = shutil.which("groff")
    if groff is None:
        pytest.skip("groff is not installed")
    ran = subprocess.run(
        [groff, "-man", "-Tutf8", "-ww", "-z"], input=PAGE, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
