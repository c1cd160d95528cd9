"""JPEG compression by OpenCV's libjpeg-turbo, 4:2:0 chroma as its encoder's default."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from restoration.degradations.base import Degradation, Numbers, Range


class Jpeg(Degradation):
    """What a JPEG file keeps of an image; the image is clipped and rounded to 8 bits before.

    Encoded on the CPU, wherever the batch is.

    Args:
        quality: 1 (worst) to 100: a number, [low, high] or {"choice": [a, b, ...]}; rounded.

    Raises:
        ValueError: another form, or a number outside 1..100.
    """

    label = "jpeg quality"
    level = "quality"

    def __init__(self, quality: Numbers) -> None:
        self.quality = Range.of(quality, "quality", 1, 100)

    def draw(self, uniforms: Sequence[float]) -> tuple[float, ...]:
        """(quality,), a whole number."""
        return (float(round(self.quality.at(uniforms[0]))),)

    def apply(self, clean: Tensor, parameters: Tensor, seeds: Sequence[int]) -> Tensor:
        """Compress, (B, C, H, W) with 1 or 3 channels; see `Degradation.apply`."""
        stored = (clean.detach().clamp(0, 1) * 255).round().to("cpu", torch.uint8)
        images = stored.permute(0, 2, 3, 1).numpy()  # (B, H, W, C)
        qualities = parameters[:, 0].tolist()
        rows = [_compressed(i, int(q)) for i, q in zip(images, qualities, strict=True)]
        decoded = torch.from_numpy(np.stack(rows)).permute(0, 3, 1, 2)  # (B, C, H, W)
        return decoded.to(clean.device, clean.dtype) / 255


def _compressed(image: np.ndarray, quality: int) -> np.ndarray:
    """(H, W, 1 or 3) uint8 RGB, encoded and decoded."""
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality]
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(image[:, :, ::-1]), settings)
    colour = cv2.IMREAD_COLOR if image.shape[2] == 3 else cv2.IMREAD_GRAYSCALE
    decoded = cv2.imdecode(data, colour)
    assert decoded is not None  # encoded in this function
    return decoded.reshape(image.shape)[:, :, ::-1]
