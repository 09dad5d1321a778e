"""The base of all commands. Those that there are: ``commands``, and ``outbox`` for what waits to be relayed."""

from typing import Generic, TypeVar

Out = TypeVar("Out", covariant=True)


class Command(Generic[Out]):
    """The parameter is the type of its outcome."""

    __slots__ = ()
