"""Images of a training for TensorBoard: what a network makes of the first image of every set."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

import losses
from restoration.degradations.conditions import Condition
from restoration.evaluate.measure import Denoise, to_batch
from restoration.evaluate.picture import ERROR_LIMIT, TITLES, to_image
from restoration.evaluate.rows import condition_slug, condition_text
from restoration.evaluate.sets import EvaluationSet
from restoration.maps.figure import top_of
from restoration.metrics import as_rgb

LARGEST, SMALLEST = 384, 192  # pixels of a panel: its centre is shown, or it is enlarged
GAP, HEAD, LETTERS = 4, 22, 14  # pixels between panels, of the line above them, of its letters
PAPER = 255


class Pictures:
    """Collects one labelled image per set and condition: of the set's first image.

    Args:
        sets: validation sets by name.
        device: where to compute.
    """

    def __init__(self, sets: dict[str, EvaluationSet], device: torch.device):
        self.sets, self.device = sets, device
        self.masked = losses.EnhancedMAE().to(device)
        self.drawn: dict[str, Tensor] = {}

    def keep(
        self,
        name: str,
        image: str,
        condition: Condition,
        noisy: Tensor,
        restored: Tensor,
        clean: Tensor,
    ) -> None:
        """Draw a result if it is that of a first image; see `evaluate`, `on_image`."""
        if image == self.sets[name].source.names[0]:
            tag = f"{name}/{condition_slug(condition)}"
            self.drawn[tag] = self._draw(condition, noisy, restored, clean)

    def restore(self, denoise: Denoise) -> None:
        """Restore and draw the first image of every set."""
        for name, test_set in self.sets.items():
            clean_image = test_set.source.read_float(0)
            clean = to_batch(clean_image, self.device)
            for condition in test_set.conditions:
                noisy = to_batch(test_set.degrade(clean_image, 0, condition), self.device)
                image = test_set.source.names[0]
                self.keep(name, image, condition, noisy, denoise(noisy, condition), clean)

    def _draw(self, condition: Condition, noisy: Tensor, restored: Tensor, clean: Tensor) -> Tensor:
        """Draw noisy, restored, reference, error and mask, (1, C, H, W) each -> (3, h, w)."""
        noisy, restored, clean = (_centre(image) for image in (noisy, restored, clean))
        error = (restored - clean).abs().mean(1, keepdim=True) / ERROR_LIMIT
        with torch.no_grad():
            mask = self.masked.mask(as_rgb(restored), as_rgb(clean))
        panels = [as_rgb(image).clamp(0, 1) for image in (noisy, restored, clean)]
        limit = top_of([mask.cpu().numpy()])
        panels += [_magma(error), _magma(mask / limit)]
        labels = list(TITLES)
        labels[0] += f", {condition_text(condition)}"
        labels[3] += f", 0 to {ERROR_LIMIT:g}"
        labels[4] += f", 0 to {limit:.2g}"
        return labelled(panels, labels)


def labelled(panels: list[Tensor], labels: list[str]) -> Tensor:
    """Put panels side by side, each with its label above.

    Args:
        panels: (1, 3, H, W) in [0, 1], all of one size; small ones are enlarged.
        labels: one per panel.

    Returns:
        (3, h, w) in [0, 1], on the CPU.
    """
    factor = math.ceil(SMALLEST / panels[0].shape[-1])
    large = [F.interpolate(panel.float().cpu(), scale_factor=factor) for panel in panels]
    height, width = large[0].shape[-2:]
    step = width + GAP
    canvas = Image.new("RGB", (step * len(large) - GAP, height + HEAD), (PAPER,) * 3)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(LETTERS)
    for number, (panel, label) in enumerate(zip(large, labels, strict=True)):
        pixels = np.rint(to_image(panel) * 255).astype(np.uint8)
        canvas.paste(Image.fromarray(pixels), (number * step, HEAD))
        draw.text((number * step, 2), label, fill=(0, 0, 0), font=font)
    return torch.from_numpy(np.asarray(canvas).copy()).permute(2, 0, 1) / 255


def _centre(image: Tensor) -> Tensor:
    """Cut the centre of a large image out."""
    height, width = image.shape[-2:]
    top, left = max(0, height - LARGEST) // 2, max(0, width - LARGEST) // 2
    return image[..., top : top + LARGEST, left : left + LARGEST]


def _magma(values: Tensor) -> Tensor:
    """Colour (1, 1, H, W) in [0, 1] -> (1, 3, H, W)."""
    from matplotlib import colormaps

    colours = colormaps["magma"](values[0, 0].clamp(0, 1).float().cpu().numpy())[:, :, :3]
    return to_batch(colours.astype(np.float32), "cpu")
