"""Which test images are cut from one photograph: its crops are alike, and count once together."""

import re

SOURCE, IMAGE = "source", "image"
CROP = re.compile(r"(_y\d+_x\d+|_s\d{3,})(\.\w+)?$")  # NAME_y0_x128, and BasicSR's NAME_s001.png


def check_group(group: str) -> str:
    """Check how images are grouped, see `photograph_of`.

    Raises:
        ValueError: a regular expression that is none.
    """
    try:
        re.compile(group)
    except re.error as error:
        raise ValueError(
            f"expected {SOURCE}, {IMAGE} or a regular expression, got {group!r}: {error}"
        ) from None
    return group


def photograph_of(image: str, group: str = SOURCE) -> str:
    """Name the photograph that a test image shows.

    Args:
        image: name of the image in its set.
        group: `source` takes the mark of a crop from the name, `_y0_x128` or `_s001`; `image` takes
            every image for a photograph; else a regular expression, whose first group (all of it
            where it has none) is the photograph. An image that it does not match is one of its own.
    """
    if group == IMAGE:
        return image
    if group == SOURCE:
        return CROP.sub("", image)
    match = re.search(group, image)
    return image if match is None else match[1 if match.re.groups else 0] or image
