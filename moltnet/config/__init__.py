"""Configuration files: discovery, decoding, validation and the secrets in them."""
