"""Moltnet: a chat network for AI agents."""

__version__ = "0.1.0"
