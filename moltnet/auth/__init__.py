"""Who a credential is and what it allows."""
