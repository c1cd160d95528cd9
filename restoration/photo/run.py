"""Denoising of many files, one after the other and past those that fail."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from restoration.photo.files import Job
from restoration.photo.reading import read_photograph
from restoration.photo.tiles import Denoiser, denoise_pixels
from restoration.photo.writing import write_photograph

OnTile = Callable[[Job, int, int, float], None]  # job, tiles done, of all, pixels per second


@dataclass(frozen=True)
class Outcome:
    """What became of a file.

    Args:
        job: the file, and where its result goes.
        error: why there is no result; None where there is one.
        pixels: of the photograph.
        seconds: for reading, denoising and writing.
        notes: what the result could not keep.
    """

    job: Job
    error: str | None = None
    pixels: int = 0
    seconds: float = 0.0
    notes: Sequence[str] = field(default_factory=tuple)


def denoise_files(
    denoiser: Denoiser, jobs: Sequence[Job], on_tile: OnTile | None = None
) -> Iterator[Outcome]:
    """Denoise files, and yield what became of each.

    Args:
        denoiser: what to do.
        jobs: from `restoration.photo.files.plan`.
        on_tile: told how far the work is.
    """
    for job in jobs:
        if job.refusal is not None:
            yield Outcome(job, job.refusal)
            continue
        try:
            yield _denoise(denoiser, job, on_tile)
        except Exception as error:  # whatever metadata, memory or a full disk lead encoders to
            text = " ".join(str(error).split()) or type(error).__name__
            yield Outcome(job, text.removeprefix(f"{job.source}: "))


def _denoise(denoiser: Denoiser, job: Job, on_tile: OnTile | None) -> Outcome:
    began = time.monotonic()
    photograph = read_photograph(job.source)
    height, width = photograph.pixels.shape[:2]
    started = time.monotonic()

    def tell(done: int, total: int) -> None:
        if on_tile is not None:
            rate = height * width * done / total / max(time.monotonic() - started, 1e-6)
            on_tile(job, done, total, rate)

    photograph.pixels = denoise_pixels(denoiser, photograph.pixels, tell)
    write_photograph(photograph, job.target)
    return Outcome(job, None, height * width, time.monotonic() - began, tuple(photograph.notes))
