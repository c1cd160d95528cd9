"""The arguments of a Restormer, from the names and shapes of its tensors."""

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

STAGES = ("encoder_level1", "encoder_level2", "encoder_level3", "latent")  # one for each scale
FIRST, LAST = "patch_embed.proj.weight", "output.weight"


def find_arguments(shapes: Mapping[str, Sequence[int]]) -> dict[str, Any] | None:
    """Find out with which arguments a Restormer was made.

    Args:
        shapes: of the tensors of a state dict, by name.

    Returns:
        `type` and arguments for `build_network`, or None where it is no Restormer.
    """
    needed = [f"{stage}.0.attn.temperature" for stage in STAGES]
    needed += [f"{stage}.0.ffn.project_in.weight" for stage in STAGES]
    if any(name not in shapes for name in (FIRST, LAST, *needed)):
        return None
    dim, channels = shapes[FIRST][:2]
    hidden = [shapes[f"{stage}.0.ffn.project_in.weight"][0] // 2 for stage in STAGES]
    return {
        "type": "Restormer",
        "inp_channels": channels,
        "out_channels": shapes[LAST][0],
        "dim": dim,
        "num_blocks": [_blocks(shapes, stage) for stage in STAGES],
        "num_refinement_blocks": _blocks(shapes, "refinement"),
        "heads": [shapes[f"{stage}.0.attn.temperature"][0] for stage in STAGES],
        "ffn_expansion_factor": _factor(hidden, dim),
        "bias": f"{STAGES[0]}.0.attn.qkv.bias" in shapes,
        "LayerNorm_type": "WithBias" if f"{STAGES[0]}.0.norm1.body.bias" in shapes else "BiasFree",
        "dual_pixel_task": "skip_conv.weight" in shapes,
    }


def _blocks(shapes: Mapping[str, Sequence[int]], stage: str) -> int:
    return next(n for n in count() if f"{stage}.{n}.attn.temperature" not in shapes)


def _factor(hidden: Sequence[int], dim: int) -> float:
    """The shortest factor that gives the channels of all feed-forward parts, rounded down."""
    widths = [dim * 2**scale for scale in range(len(hidden))]
    low = max(h / width for h, width in zip(hidden, widths, strict=True))
    high = min((h + 1) / width for h, width in zip(hidden, widths, strict=True))
    middle = (low + high) / 2
    for digits in range(6):
        near = round(middle, digits)
        if [int(width * near) for width in widths] == list(hidden):
            return near
    return middle
