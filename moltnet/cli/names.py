"""Names on the command line: several of them in one option, with commas in between."""


def split_names(*texts: str) -> tuple[str, ...]:
    """The names in all of these texts, in their order and each once. Nothing between two commas is no name."""
    return tuple(dict.fromkeys(name for text in texts for part in text.split(",") if (name := part.strip())))
