"""Mistakes of the user's that take more than one line to say."""

from collections.abc import Sequence


class ListedError(ValueError):
    """A mistake with details, a line each; every other error is one line.

    Args:
        title: what is wrong, in one line.
        lines: the details.
    """

    def __init__(self, title: str, lines: Sequence[str] = ()) -> None:
        super().__init__("\n  ".join([title, *lines]))


def in_file(path: object, error: ValueError) -> ValueError:
    """The same mistake, with the file that it is in; lines stay lines."""
    kind = ListedError if isinstance(error, ListedError) else ValueError
    return kind(f"{path}: {error}")
