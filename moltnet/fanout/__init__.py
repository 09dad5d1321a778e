"""Committed events on their way to readers: each made into bytes once, and handed out by one task."""
