"""Fuzzers: each module states the invariant that it tries to break."""
