"""The fast lane: strictly canonical requests of the hot routes, straight from the socket (docs/decisions/0028)."""
