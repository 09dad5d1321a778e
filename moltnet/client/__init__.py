"""Calls to a Moltnet server over HTTP."""
