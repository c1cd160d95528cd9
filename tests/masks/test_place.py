"""Where an error shows: contrast masking by the reference."""

import pytest
import torch

from restoration.masks.place import (
    PLACES,
    block_distance,
    place_target,
    slope_distance,
    unmasked,
)
from restoration.opinion.masking import visible_error


def pair(contrast=0.3):
    """The same noise on a flat half and on one of fine stripes."""
    generator = torch.Generator().manual_seed(0)
    reference = torch.full((1, 3, 32, 64), 0.5)
    reference[..., 32::2] += contrast
    reference[..., 33::2] -= contrast
    return reference, reference + 0.02 * torch.randn(1, 3, 32, 64, generator=generator)


def test_contrast_hides_an_error():
    reference, distorted = pair()
    error = visible_error(reference, distorted)
    assert error.shape == (1, 1, 4, 8)
    flat, striped = error[..., :3].mean(), error[..., 5:].mean()
    expected = (0.02 / (0.02 + 0.3 * 16 / 16)) ** 0.6
    assert striped / flat == pytest.approx(expected, rel=0.1)
    assert visible_error(reference, reference).max() == 0


def test_a_mask_that_follows_the_target_has_no_distance():
    reference, distorted = pair()
    target = place_target("masking", reference, distorted, (4, 8))
    for factor in (1e-3, 1):  # its size is free
        assert block_distance("masking", "e-mae", factor * target, target) < 1e-4
        assert block_distance("masking", "e-psnr", factor * target.square(), target) < 1e-4
    plain = torch.nn.functional.avg_pool2d((reference - distorted).abs().mean(1, True), 8)
    assert block_distance("masking", "e-mae", plain, target) > 0.1


def test_blocks_without_an_error_say_nothing():
    """Else the size of a mask would not be free where an error is in few places."""
    reference, distorted = pair()
    distorted[..., :16] = reference[..., :16]
    target = place_target("masking", reference, distorted, (4, 8))
    assert block_distance("masking", "e-mae", 1e-3 * target, target) < 1e-4
    assert block_distance("masking", "e-mae", torch.zeros_like(target), 0 * target) == 0


def test_the_slope_alone_is_asked_for():
    reference, distorted = pair()
    distorted[..., :, ::8] += 0.01  # an error that is not even
    plain = torch.nn.functional.avg_pool2d((reference - distorted).abs().mean(1, True), 8)
    contrast = torch.tensor([0.0] * 4 + [0.3] * 4)  # of 16 pixels around a block
    contrast[3], contrast[4] = 0.3 * 0.25**0.5, 0.3 * 0.75**0.5  # a quarter lies over the edge
    threshold = (0.02 + contrast).expand(1, 1, 4, 8)
    line = unmasked(reference, distorted, (4, 8))
    masked = plain / threshold
    free = torch.tensor([1.0, 3.0] * 2)[:, None] * masked  # the rows have equal contrasts
    for errors in (0.3 * masked, free):
        assert slope_distance("e-mae", errors, *line) < 1e-4
        assert slope_distance("e-psnr", errors.square(), *line) < 1e-4
    even = slope_distance("e-mae", plain, *line)
    half = slope_distance("e-mae", plain / threshold.sqrt(), *line)
    assert even > 0.3 and half == pytest.approx(even.item() / 4, rel=0.02)
    flat = torch.full_like(reference, 0.5)
    line = unmasked(flat, flat + 0.1, (4, 8))
    assert slope_distance("e-mae", torch.full((1, 1, 4, 8), 0.1), *line) < 1e-12


def test_only_the_hand_made_dissimilarity_fades():
    assert PLACES["dissimilarity"].fades and not PLACES["masking"].fades
