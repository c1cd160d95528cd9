from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

import losses
from losses.weights import MANIFEST, PRETRAINED, verify
from restoration.data import open_source
from restoration.degradations.distortions import DISTORTIONS, distort
from restoration.opinion.pairs import to_tensor

VGG19 = Path(__file__).parents[2] / "../shared/weights/vgg19_conv1_1-conv3_4_original.safetensors"
VGG16 = Path(__file__).parents[2] / "../shared/weights/torchvision/vgg16_features.safetensors"
VGG19_MACS = 222_912  # per pixel, to conv3_4
SHIPPED = [name for name, entry in MANIFEST.items() if entry.ships]


def photograph(name, size=128):
    image = open_source(f"skimage:{name}").read_float(0)
    top, left = (image.shape[0] - size) // 2, (image.shape[1] - size) // 2
    crop = torch.from_numpy(image[top : top + size, left : left + size])
    return crop.permute(2, 0, 1)[None].contiguous()


@pytest.mark.parametrize("name", SHIPPED)
def test_checksum(name):
    assert MANIFEST[name].git_blob is not None
    assert verify(name)


def test_the_embedded_backbone_is_small():
    body = losses.build_backbone("embedded").body
    macs, stride = 0, 1
    for number, level in enumerate(body.levels):
        stride = 2**number
        convs = [m for m in level if isinstance(m, nn.Conv2d)]
        macs += sum(c.weight.numel() for c in convs) / stride**2
    assert macs * 4 <= VGG19_MACS
    assert (PRETRAINED / "embedded_backbone.safetensors").stat().st_size <= 2e6


@pytest.mark.skipif(not VGG19.is_file(), reason="needs VGG-19's weights beside the repository")
def test_the_embedded_distance_ranks_as_vgg19_does():
    student = losses.VGG("embedded", reduction="none")
    teacher = losses.VGG("vgg19", weights=VGG19, pooling="max", reduction="none")
    rng = np.random.default_rng(0)
    found = []
    for name in ("astronaut", "chelsea", "coffee", "rocket"):
        image = (photograph(name)[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        for kind in DISTORTIONS:
            distorted = distort(image, kind, float(rng.uniform(1, 5)), 1)
            pair = to_tensor([distorted]), to_tensor([image])
            with torch.no_grad():
                found.append((float(student(*pair)), float(teacher(*pair))))
    assert spearmanr(*zip(*found, strict=True))[0] >= 0.95


@pytest.mark.parametrize("term", [{"type": "E-MAE"}, {"type": "E-VGG", "backbone": "embedded"}])
def test_identical_images_give_exactly_zero(term):
    image = photograph("coffee", 64)
    assert losses.build([term])(image, image)[0].item() == 0


def test_masking_grows_with_the_contrast_of_a_grating():
    generator = torch.Generator().manual_seed(0)
    noise = 0.05 * torch.randn(1, 3, 96, 96, generator=generator)
    wave = torch.sin(torch.arange(96) * 2 * torch.pi / 6).view(1, 1, 1, 96).expand(1, 3, 96, 96)
    values = []
    for contrast in (0.0, 0.05, 0.1, 0.2, 0.3):
        reference = 0.5 + contrast * wave
        values.append(losses.EnhancedMAE()(reference + noise, reference).item())
    assert all(a > b for a, b in zip(values, values[1:], strict=False)), values


def psnr(x, y):
    return float(losses.PSNR()(x, y))


@pytest.mark.parametrize(
    ("term", "rise"),  # features leave much of the noise free, so E-VGG alone gains little
    [
        ({"type": "E-MAE"}, 3.0),
        ({"type": "E-MSE", "weight": 1e4}, 3.0),
        ({"type": "E-VGG", "backbone": "embedded"}, 0.1),
    ],
)
def test_minimising_it_alone_over_pixels_raises_psnr(term, rise):
    torch.manual_seed(0)
    clean = photograph("astronaut", 64)
    start = clean + 0.1 * torch.randn_like(clean)
    criterion = losses.build([term])
    pixels = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([pixels], lr=0.004)
    before = psnr(start, clean)
    for _ in range(150):
        optimizer.zero_grad()
        criterion(pixels, clean)[0].backward()
        optimizer.step()
    assert psnr(pixels.detach(), clean) > before + rise


def test_noise_in_smooth_dark_regions_counts_more_than_in_texture():
    """The size of a mask is free, its contrast is not: flat and dark must not hide noise."""
    torch.manual_seed(0)
    dark = torch.full((1, 3, 64, 64), 0.15)
    texture = 0.5 + 0.3 * torch.randn(1, 3, 64, 64)
    noise = 0.06 * torch.randn_like(dark)
    mask = losses.EnhancedMAE().mask
    assert mask(dark + noise, dark).mean() > 2 * mask(texture + noise, texture).mean()


@pytest.mark.slow
@pytest.mark.skipif(not VGG16.is_file(), reason="needs VGG's weights beside the repository")
@pytest.mark.parametrize(
    ("name", "backbone"),
    [
        ("E-VGG", {"weights": VGG16}),
        ("E-VGG", {"weights": VGG19, "backbone": "vgg19"}),
        ("E-LPIPS", {"weights": VGG16}),
        ("E-DISTS", {"weights": VGG16}),
    ],
)
def test_masks_on_vgg_make_a_loss(name, backbone):
    torch.manual_seed(0)
    clean = photograph("astronaut", 64)
    start = clean + 0.1 * torch.randn_like(clean)
    term = losses.build_term(name, **backbone)
    pixels = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([pixels], lr=0.004)
    found = []
    for _ in range(500):
        optimizer.zero_grad()
        term(pixels, clean).backward()
        optimizer.step()
        found.append(psnr(pixels.detach(), clean))
    assert found[-1] > psnr(start, clean) + 1
    assert found[-1] > max(found) - 0.5


@pytest.mark.skipif(not VGG16.is_file(), reason="needs VGG-16's weights beside the repository")
@pytest.mark.parametrize("sigma", [10, 50])
def test_gradients_on_vgg16_agree_in_bf16(sigma):
    torch.manual_seed(0)
    clean = photograph("astronaut", 64)
    noisy = clean + sigma / 255 * torch.randn_like(clean)
    found = []
    for precision in ("float32", "bf16"):
        pixels = noisy.clone().requires_grad_()
        losses.EVGG("vgg16", weights=VGG16, precision=precision)(pixels, clean).backward()
        found.append(pixels.grad.flatten())
    assert nn.functional.cosine_similarity(*found, dim=0) > 0.999
