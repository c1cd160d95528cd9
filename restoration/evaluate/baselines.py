"""What a benchmark measures beside networks: the noisy input, non-local means, and FFDNet.

Non-local means: Buades, Coll and Morel 2005 (doi:10.1109/CVPR.2005.38), in OpenCV's version for
colour, which works in CIELAB.
"""

import cv2
import numpy as np
import torch
from torch import Tensor

from restoration.degradations.conditions import GAUSSIAN, Condition
from restoration.evaluate.ffdnet import FFDNET, FFDNET_PROTOCOL, ffdnet
from restoration.evaluate.measure import NOISY, Denoise, as_given

NLM = "nlm"
# h / sigma: the best of 0.3..1.4 on crops of BSDS500 train, at 15..60. The luma of a colour image
# has less noise than its channels; a grey image has all of it.
NLM_STRENGTH, NLM_STRENGTH_GREY = 0.55, 0.85
NLM_TEMPLATE, NLM_SEARCH = 7, 21
NLM_PROTOCOL = (
    f"nlm: OpenCV's fastNlMeansDenoisingColored with h = hColor = {NLM_STRENGTH} sigma, for grey "
    f"images fastNlMeansDenoising with h = {NLM_STRENGTH_GREY} sigma, template {NLM_TEMPLATE}, "
    f"search {NLM_SEARCH}; it is told sigma, and sees the noisy image clipped and "
    "rounded to 8 bits"
)


def non_local_means(noisy: Tensor, sigma: float) -> Tensor:
    """Denoise with OpenCV's non-local means.

    Args:
        noisy: (1, C, H, W), C 3 (RGB) or 1, in [0, 1] up to the noise.
        sigma: noise level in 0..255 units; decides the strength.

    Returns:
        (1, C, H, W) of the same type, k / 255.
    """
    if noisy.ndim != 4 or noisy.shape[0] != 1 or noisy.shape[1] not in (1, 3):
        raise ValueError(f"expected one image (1, 3 or 1, H, W), got {tuple(noisy.shape)}")
    pixels = (noisy[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    grey = pixels.shape[2] == 1
    strength = (NLM_STRENGTH_GREY if grey else NLM_STRENGTH) * sigma
    if grey:
        denoised = cv2.fastNlMeansDenoising(
            np.ascontiguousarray(pixels[:, :, 0]), None, strength, NLM_TEMPLATE, NLM_SEARCH
        )[:, :, None]
    else:
        bgr = np.ascontiguousarray(pixels[:, :, ::-1])
        denoised = cv2.fastNlMeansDenoisingColored(
            bgr, None, strength, strength, NLM_TEMPLATE, NLM_SEARCH
        )[:, :, ::-1]
    restored = torch.from_numpy(np.ascontiguousarray(denoised)).permute(2, 0, 1).unsqueeze(0)
    return restored.to(noisy.device, noisy.dtype) / 255


def _non_local_means(noisy: Tensor, condition: Condition) -> Tensor:
    if condition.degradation != GAUSSIAN or condition.level is None:
        raise ValueError(
            f"expected Gaussian noise for the baseline {NLM}, which needs its sigma, "
            f"got {condition.degradation}"
        )
    return non_local_means(noisy, condition.level)


BASELINES: dict[str, Denoise] = {NOISY: as_given, NLM: _non_local_means, FFDNET: ffdnet}
PROTOCOLS = {NLM: NLM_PROTOCOL, FFDNET: FFDNET_PROTOCOL}
