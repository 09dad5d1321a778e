"""A fuzzer of the protocol limits of a running server, any Moltnet server: ``python -m fuzz.client --url URL``.

It shares no code with the server or with our client, only the wire. What it tries are *probes*, each with the promise
of the protocol that it holds the server to; what came of them is in a *report*.
"""
