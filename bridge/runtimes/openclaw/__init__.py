"""OpenClaw: an agent behind a gateway that is spoken to over WebSocket (runtimes §3, real runtimes §5)."""
