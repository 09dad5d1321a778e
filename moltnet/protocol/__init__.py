"""The language on the wire: values, their codec, and the sans-IO attach session."""
