"""bf16 on CPUs that have no instructions for it."""

import pytest
import torch

from restoration.common.bf16 import fast_in_bf16
from restoration.masks.trainable import EnhancedMetric
from restoration.masks.trainer import MaskTrainer
from restoration.options.training import Train
from restoration.train.prepared import slow_settings

CPU = torch.device("cpu")


@pytest.fixture(params=["DEFAULT", "AVX2", "AVX512"])
def capability(request, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: request.param)
    return request.param


def test_a_training_warns_of_bf16_on_a_cpu_without_it(capability):
    terms = [{"type": "MAE"}, {"type": "E-VGG", "precision": "bf16"}]
    recipe = Train.model_validate({"total_iter": 1, "losses": terms, "amp": "bf16"})
    expected = [] if capability == "AVX512" else ["amp: bf16", "E-VGG's precision: bf16"]
    assert slow_settings(recipe, CPU) == expected
    assert slow_settings(recipe, torch.device("cuda")) == []
    plain = Train.model_validate({"total_iter": 1, "losses": [{"type": "MAE"}]})
    assert slow_settings(plain, CPU) == []


def test_masks_are_trained_in_bf16_only_where_it_is_fast(capability, monkeypatch):
    metric = EnhancedMetric("e-mae", networks="compact")
    used = []

    def masks(*pair):
        used.append(torch.is_autocast_enabled("cpu"))
        return EnhancedMetric.visual_masks(metric, *pair)

    monkeypatch.setattr(metric, "visual_masks", masks)
    images = torch.rand(2, 3, 16, 16)
    MaskTrainer(metric, "masking")(images, 1 - images, contrast=False, balance=False)
    assert used == [fast_in_bf16(CPU)] == [capability == "AVX512"]
