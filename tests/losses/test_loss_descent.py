"""A masked loss alone must remove noise, and must not win by shutting its own mask."""

import pytest
import torch

import losses
from losses.functional import psnr
from losses.weights import MANIFEST


def need(name):
    if not MANIFEST[name].path.is_file():
        pytest.skip(f"{MANIFEST[name].file} has not been made yet")


@pytest.fixture(scope="module")
def images():
    """(noisy, clean), (1, 3, 40, 40): a ramp with an edge and a texture, and noise of sigma 25."""
    line = torch.linspace(0.2, 0.8, 40)
    clean = (line[:, None] * 0.6 + line[None, :] * 0.4).repeat(3, 1, 1)
    clean[0, 10:30, 10:30] += 0.15
    clean[2] += 0.1 * torch.sin(torch.arange(40.0))
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)) * 25 / 255
    return (clean + noise).clamp(0, 1)[None], clean.clamp(0, 1)[None]


def descend(term, images, steps=60, rate=0.01):
    noisy, clean = images
    prediction = noisy.clone().requires_grad_()
    optimizer = torch.optim.Adam([prediction], lr=rate)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * (1 - step / steps)
        optimizer.zero_grad()
        term(prediction, clean).backward()
        optimizer.step()
    return prediction.detach()


def tap_masks(term, prediction, target):
    """Mean of each tap's mask."""
    with torch.no_grad():
        return torch.stack([mask.mean() for _, mask in term.error_map(prediction, target)])


def luminance(image):
    return (image * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)


def check_e_mae(term, images):
    noisy, clean = images
    result = descend(term, images)
    assert psnr(result, clean) > psnr(noisy, clean) + 3
    assert term(result, clean) < 0.5 * term(noisy, clean)
    assert term.mask(result, clean).mean() > 0.5 * term.mask(clean, clean).mean()


def test_e_mae_removes_noise(images):
    need("pixel_mask_e_mae")
    check_e_mae(losses.EnhancedMAE(), images)


def test_e_mae_of_the_authors_removes_noise(images, authors):
    check_e_mae(losses.EnhancedMAE(authors / "E_MAE.pth"), images)


def test_why_no_gradient_flows_through_the_mask(images, authors):
    """With it, the loss falls by shutting the mask and the noise stays."""
    noisy, clean = images
    term = losses.EnhancedMAE(authors / "E_MAE.pth", mask_gradient=True)
    result = descend(term, images)
    assert term(result, clean) < 0.1 * term(noisy, clean)
    assert term.mask(result, clean).mean() < 0.5 * term.mask(clean, clean).mean()
    assert psnr(result, clean) < psnr(noisy, clean) + 1


@pytest.mark.parametrize("name", ["pixel_mask_e_mae", "masks_e_vgg_embedded"])
def test_shipped_masks_say_where(images, name):
    """A mask that is the same at every pixel is no visual mask: its sigmoid is saturated."""
    need(name)
    if name == "pixel_mask_e_mae":
        masks = [losses.EnhancedMAE().mask(*images)]
    else:
        with torch.no_grad():
            masks = [mask for _, mask in losses.EVGG("embedded").error_map(*images)]
    found = [(round(m.mean().item(), 4), round(m.std().item(), 4)) for m in masks]
    assert all(deviation > 1e-3 for _, deviation in found), f"(mean, deviation) per tap: {found}"


def test_e_vgg_removes_noise(images):
    need("embedded_backbone")
    need("masks_e_vgg_embedded")
    noisy, clean = images
    term = losses.EVGG("embedded")
    result = descend(term, images)
    assert psnr(result, clean) > psnr(noisy, clean)
    assert term(result, clean) < 0.5 * term(noisy, clean)
    assert (tap_masks(term, result, clean) > 0.5 * tap_masks(term, clean, clean)).all()


def test_e_ssim_removes_noise(images):
    need("pixel_mask_e_ssim")
    noisy, clean = images
    term = losses.EnhancedSSIM()
    result = descend(term, images)
    assert psnr(result, clean) > psnr(noisy, clean) + 3
    assert term.mask(result, clean).mean() > 0.5 * term.mask(clean, clean).mean()


def test_e_vgg_of_vgg19_removes_more_noise_than_vgg(images, vgg19_file):
    need("masks_e_vgg_vgg19")
    noisy, clean = images
    own = {"weights": vgg19_file, "taps": ("relu1_2", "relu2_2", "relu3_4")}
    term = losses.EVGG("vgg19", masks="masks_e_vgg_vgg19", **own)
    result = descend(term, images, steps=40)
    plain = descend(losses.VGG("vgg19", **own), images, steps=40)
    assert psnr(result, clean) > psnr(plain, clean) > psnr(noisy, clean) + 0.5
    assert (tap_masks(term, result, clean) > 0.5 * tap_masks(term, clean, clean)).all()


def test_vgg_of_the_embedded_backbone_removes_noise(images):
    need("embedded_backbone")
    noisy, clean = images
    result = descend(losses.VGG("embedded"), images)
    assert psnr(result, clean) > psnr(noisy, clean)


def test_vgg19_removes_noise(images, vgg19_file):
    noisy, clean = images
    result = descend(losses.VGG("vgg19", weights=vgg19_file, pooling="avg"), images, steps=40)
    assert psnr(result, clean) > psnr(noisy, clean) + 0.5
    assert psnr(luminance(result), luminance(clean)) > psnr(luminance(noisy), luminance(clean)) + 2


@pytest.mark.parametrize("name", ["pixel_mask_e_mae", "masks_e_vgg_embedded"])
def test_no_collapse_in_500_steps(images, name):
    """A long descent ends nearer to the clean image, with masks that are still open there."""
    need(name)
    noisy, clean = images
    term = losses.EnhancedMAE() if name == "pixel_mask_e_mae" else losses.EVGG("embedded")
    result = descend(term, images, steps=500)
    assert result.isfinite().all()
    assert psnr(result, clean) > psnr(noisy, clean)
    assert term(result, clean) < 0.1 * term(noisy, clean)
    if name == "pixel_mask_e_mae":
        now, perfect = term.mask(result, clean).mean(), term.mask(clean, clean).mean()
    else:
        now, perfect = tap_masks(term, result, clean), tap_masks(term, clean, clean)
    assert (now > 0.5 * perfect).all()
