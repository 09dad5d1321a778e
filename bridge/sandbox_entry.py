"""The first program inside a sandbox: it opens the doors to the outside, gives up what that took, and becomes the
agent's program.

A network namespace of its own has no way out. A socket that was made in it stays in it, wherever it is held: so this
listens where the program will connect to, hands the listening sockets to the node, and the node, which is outside,
carries what comes in to the real host (`bridge.sandbox_doors`). Nothing of ours stays in the sandbox.

It runs as a script in an isolated interpreter, like `bridge/keeper.py`:

    sandbox_entry.py DESCRIPTOR ADDRESS PORT [ADDRESS PORT…] -- PROGRAM [ARGUMENT…]

On the socket DESCRIPTOR it sends one `.` with all listening sockets, in this order, and, if the program could not be
executed, `exec ERRNO`.
"""

import array
import ctypes
import errno
import fcntl
import os
import signal
import socket
import struct
import sys
import time
from contextlib import suppress

LAST_CAPABILITY = 63
CAPABILITY_VERSION = 0x20080522
PR_CAPBSET_DROP = 24
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
SIOCSIFADDR = 0x8916
BACKLOG = 64
BIND_ATTEMPTS = 1000
BIND_SECONDS = 0.002


def main(words: list[str]) -> None:
    border = words.index("--")
    door = socket.socket(fileno=int(words[0]))
    door.set_inheritable(False)
    pairs = zip(words[1:border:2], words[2:border:2], strict=True)
    listeners = [listen(address, int(port)) for address, port in pairs]
    numbers = array.array("i", [listener.fileno() for listener in listeners])
    door.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)])
    for listener in listeners:
        listener.close()
    drop_capabilities()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # ignored by what started us, or the sandbox would end before us
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores these, and that would be inherited
        signal.signal(number, signal.SIG_DFL)
    program = words[border + 1 :]
    try:
        os.execvp(program[0], program)
    except OSError as error:
        door.send(f"exec {error.errno}".encode())
        sys.exit(1)


def listen(address: str, port: int) -> socket.socket:
    """A listening socket. An address that is not the loopback interface's becomes one of it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    for attempt in range(BIND_ATTEMPTS):
        try:
            listener.bind((address, port))
            break
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL or attempt == BIND_ATTEMPTS - 1:
                raise
        if attempt == 0:
            with suppress(FileExistsError):
                add_address(address)
        time.sleep(BIND_SECONDS)  # the kernel makes a new address of IPv6 usable a moment later
    listener.listen(BACKLOG)
    return listener


def add_address(address: str) -> None:
    """Give the loopback interface of this namespace one more address."""
    if ":" in address:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as control:
            number = socket.if_nametoindex("lo")
            fcntl.ioctl(
                control, SIOCSIFADDR, socket.inet_pton(socket.AF_INET6, address) + struct.pack("Ii", 128, number)
            )
        return
    packed = socket.inet_aton(address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        name = f"lo:{int.from_bytes(packed, 'big'):08x}".encode()[:15]
        fcntl.ioctl(control, SIOCSIFADDR, struct.pack("16sHH4s8x", name, socket.AF_INET, 0, packed))


def drop_capabilities() -> None:
    """What listening took is not the program's: after this no `exec` gives any capability."""
    library = ctypes.CDLL(None)
    for capability in range(LAST_CAPABILITY + 1):
        library.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    library.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    # What is inheritable stays with root over an `exec`, also if it is bounded away.
    header, nothing = struct.pack("Ii", CAPABILITY_VERSION, 0), struct.pack("6I", *[0] * 6)
    if library.capset(header, nothing) != 0:
        sys.exit("the capabilities could not be given up")


if __name__ == "__main__":
    main(sys.argv[1:])
