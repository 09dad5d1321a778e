"""Everything that a group of programs has written or shown, and a search in all of it for what must not be there."""

import base64
import os
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

import attrs
import orjson
import trio

# A line that is cut in the middle still shows most of a secret.
SHOWN_CHARACTERS: Final = 16
# How often the process table is looked at: a program of ours lives for longer.
LOOK_SECONDS: Final = 0.02


def forms(secret: str) -> dict[str, bytes]:
    """How a secret may appear: as it is, its ends, and as something would encode it. Bytes to be searched for."""
    data = secret.encode()
    found = {
        "plain": data,
        "beginning": data[:SHOWN_CHARACTERS] if len(data) > SHOWN_CHARACTERS else data,
        "end": data[-SHOWN_CHARACTERS:] if len(data) > SHOWN_CHARACTERS else data,
        "hex": data.hex().encode(),
        "HEX": data.hex().upper().encode(),
        "URL": quote(secret, safe="").encode(),
        "JSON": orjson.dumps(secret)[1:-1],
        "UTF-16": secret.encode("utf-16-le"),
        "reversed": data[::-1],
    }
    for offset in range(3):
        # What stands before it shifts the groups of three bytes; only whole groups look the same everywhere.
        whole = data[(3 - offset) % 3 :]
        whole = whole[: len(whole) - len(whole) % 3]
        found[f"base64 at {offset}"] = base64.b64encode(whole)
        found[f"base64 for URLs at {offset}"] = base64.urlsafe_b64encode(whole)
    return found


@attrs.frozen
class Finding:
    source: str
    secret: str
    form: str


@attrs.define(eq=False)
class Evidence:
    """What was seen, by where. ``collected`` grows while programs run."""

    collected: dict[str, bytearray] = attrs.field(factory=dict, init=False)
    _seen: set[bytes] = attrs.field(factory=set, init=False)

    def add(self, source: str, text: str | bytes) -> None:
        data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        self.collected.setdefault(source, bytearray()).extend(data + b"\n")

    def add_files(self, directory: Path, *, declared: Iterable[Path]) -> None:
        """Every file below a directory, its name included, but those that are there to hold a secret."""
        left_out = {path.absolute() for path in declared}
        for path in sorted(directory.rglob("*")):
            self.add("names of files", str(path.relative_to(directory)))
            if path.is_file() and not path.is_symlink() and path.absolute() not in left_out:
                self.add(f"file {path.relative_to(directory)}", path.read_bytes())

    @asynccontextmanager
    async def watching_processes(self) -> AsyncIterator[None]:
        """Collect the command line of every process of the machine while the block runs."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            try:
                yield
            finally:
                nursery.cancel_scope.cancel(reason="nothing runs any more")

    async def _watch(self) -> None:
        while True:
            for name in os.listdir("/proc"):
                if name.isdigit() and _is_ours(int(name)):
                    self._look(Path("/proc", name, "cmdline"))
            await trio.sleep(LOOK_SECONDS)

    def _look(self, path: Path) -> None:
        try:
            line = path.read_bytes()
        except OSError:
            return  # it has ended
        if line.partition(b"\0")[0].endswith(b"/psql"):
            return  # the tests' own, which looks into the database
        if line not in self._seen:
            self._seen.add(line)
            self.add("process list", line)

    def search(self, secrets: Mapping[str, str]) -> Iterator[Finding]:
        for name, secret in secrets.items():
            wanted = forms(secret)
            for source, data in self.collected.items():
                for form, needle in wanted.items():
                    if needle in data:
                        yield Finding(source, name, form)
                        break

    def around(self, finding: Finding, secrets: Mapping[str, str]) -> str:
        """What stands before and behind a finding, for who has to look for its cause."""
        data, needle = self.collected[finding.source], forms(secrets[finding.secret])[finding.form]
        place = data.index(needle)
        return f"{finding}: {bytes(data[max(0, place - 300) : place])!r} … {bytes(data[place + len(needle) :][:100])!r}"


def _is_ours(pid: int) -> bool:
    """Whether this test, or something that it started, has started a process. Others on this machine have their own."""
    while pid > 1:
        try:
            # What stands before the last bracket is a name, which may hold anything.
            pid = int(Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False  # it has ended
        if pid == os.getpid():
            return True
    return False
