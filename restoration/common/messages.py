"""Messages for people."""

import os

OMISSION = " ... "


def shorten(text: str, most: int) -> str:
    """Leave out the middle of a text that is too long.

    Args:
        text: one line.
        most: characters that it may have, more than those of the mark for what is left out.

    Returns:
        The text, or its beginning and its end.
    """
    if len(text) <= most:
        return text
    tail = (most - len(OMISSION)) // 3
    return text[: most - tail - len(OMISSION)] + OMISSION + text[len(text) - tail :]


def printable(name: str) -> str:
    """Escape the bytes of a file's name that are no UTF-8: names go into texts and pictures."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
