import numpy as np
import pytest
import torch

import losses
from losses.masks import VisualMasks
from restoration.masks import contrast
from restoration.masks.contrast import contrast_masking


class HandMade(VisualMasks):
    """0.2 where the reference has contrast, 0.8 elsewhere; no answer to the noise."""

    def mask(self, k, reference, distorted):
        step = (reference[:, :1, :, 1:] - reference[:, :1, :, :-1]).abs()
        return torch.where(torch.nn.functional.pad(step, (0, 1, 0, 0)) > 0.1, 0.2, 0.8)


def half_textured():
    image = np.full((64, 128, 3), 128, np.uint8)
    image[:, 64::2] = 40
    return image


def test_the_ratio_of_a_mask_made_by_hand(monkeypatch):
    monkeypatch.setattr(losses.EnhancedMAE, "load", staticmethod(lambda *_: HandMade((3,))))
    found = contrast_masking(losses.EnhancedMAE(), half_textured(), 10)
    assert found == pytest.approx(0.2 / 0.8, rel=0.15)  # columns at the edges differ
    assert found == contrast_masking(losses.EnhancedMAE(), half_textured(), 10)


def test_the_ratio_of_what_a_model_of_vision_sees(monkeypatch):
    def visibility(reference, distorted):  # a third of the error on the right
        difference = np.abs(distorted.astype(np.float32) - reference).mean(2) / 255
        difference[:, 64:] /= 3
        return difference

    monkeypatch.setattr(contrast, "visibility", visibility)
    found = contrast.contrast_masking_of_vision(half_textured()[:, :127], 10)
    assert found == pytest.approx(1 / 3, rel=0.05)  # pixels are rounded for the model


def test_too_small_an_image():
    with pytest.raises(ValueError, match="expected 4 blocks"):
        contrast_masking(losses.EnhancedMAE(), np.zeros((64, 40, 3), np.uint8), 10)
