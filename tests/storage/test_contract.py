"""Every store against the contract."""

from tests.contracts.store import StoreContract


class TestEveryStore(StoreContract):
    """The `store` fixture is one of each kind."""
