"""The rules of a network, free of HTTP, WebSocket and SQL."""
