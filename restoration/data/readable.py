"""Images that can be read, of a source that holds others too (`on_error: skip`)."""

import logging

from restoration.data.paired import SHOWN, Chosen, PairedSource
from restoration.data.sources import Source

logger = logging.getLogger("restoration")


def only_readable(source: Source, name: str, enough: int | None = None) -> Source:
    """Decode every image once, and leave out those that cannot be read, which is said.

    Args:
        source: images, or pairs, which are left out together.
        name: of the source, for the log.
        enough: so many images that can be read are looked for; None for all.

    Raises:
        ValueError: none can be read.
    """
    good: list[int] = []
    reasons: list[str] = []
    for index in range(len(source)):
        if len(good) == enough:
            break
        try:
            _read(source, index)
        except (ValueError, OSError) as error:
            reasons.append(str(error))
        else:
            good.append(index)
    if not good:
        raise ValueError(f"expected an image that can be read in {name}, got none: {reasons[0]}")
    if not reasons:
        return source
    logger.warning(
        "%s: %d of %d images cannot be read and are left out: %s",
        name,
        len(reasons),
        len(good) + len(reasons),
        "; ".join(reasons[:SHOWN]) + ("; ..." if len(reasons) > SHOWN else ""),
    )
    if isinstance(source, PairedSource):
        return PairedSource(Chosen(source.clean, good), Chosen(source.degraded, good))
    return Chosen(source, good)


def _read(source: Source, index: int) -> None:
    source.size(index)
    source.decode(index)
    if isinstance(source, PairedSource):
        source.degraded.decode(index)
