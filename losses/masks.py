"""Visual masks: networks that say where an error can be seen (arXiv:2305.19858).

A mask network reads a pair of images (or of feature maps) and returns one channel in [0, 1] which
multiplies the error. State-dict names match the authors' released files. The order in which the
pair is concatenated differs between their scripts, so it is an argument here. Beside their network
stand a compact one, for masks of images and of the first, largest maps of a backbone, and one that
also reads global statistics of the pair.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from losses.frozen import freeze
from losses.naming import check_name
from losses.weights import load_state_dict

ORDERS = ("reference_first", "distorted_first")
STRIP_ROWS = 64  # of a strip: its features stay in the cache of a CPU
COMPACT_KERNEL = 4  # side of the first convolution of a compact network; 3 in the released ones


class _MaskNetwork(nn.Module):
    """A pair of maps to one visual mask."""

    reach: int  # pixels around each that are seen

    def forward(self, pair: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, 1, H, W) in [0, 1]."""
        return self.of_pair(*pair.chunk(2, dim=1))

    def of_pair(self, first: Tensor, second: Tensor) -> Tensor:
        """Mask of the pair [first, second], (B, in_channels / 2, H, W) x 2 -> (B, 1, H, W).

        Without gradients a CPU goes from strip to strip: the released network's features of a
        whole photograph take half a gigabyte per megapixel.
        """
        if _in_one_piece(first):
            return self.of_strip(first, second)
        return _by_strips(self.of_strip, (first, second), self.reach)

    def of_strip(self, first: Tensor, second: Tensor) -> Tensor:
        """Mask of neighbouring rows of a pair, which begin at an even one."""
        raise NotImplementedError


def _in_one_piece(image: Tensor) -> bool:
    return torch.is_grad_enabled() or not image.is_cpu or torch.compiler.is_compiling()


def _by_strips(
    compute: Callable[..., Tensor], maps: Sequence[Tensor], reach: int, shrinks: int = 1
) -> Tensor:
    """Compute a map from strips of the rows of others.

    Args:
        compute: from maps, (B, C, H, W) each, to one with `shrinks` times fewer rows, rounded up.
        maps: what it reads.
        reach: rows around each that it sees, a multiple of `shrinks`.
        shrinks: a divisor of STRIP_ROWS.
    """
    height, strips = maps[0].shape[2], []
    for top in range(0, height, STRIP_ROWS):
        bottom = min(top + STRIP_ROWS, height)
        start = max(top - reach, 0)
        found = compute(*(m[:, :, start : min(bottom + reach, height)] for m in maps))
        first, rows = (top - start) // shrinks, -(-(bottom - top) // shrinks)
        strips.append(found[:, :, first : first + rows])
    return torch.cat(strips, dim=2)


class MaskNet(_MaskNetwork):
    """Three 3x3 convolutions, ReLU, ReLU, sigmoid: a pair of maps to one visual mask.

    Args:
        in_channels: channels of the concatenated pair (6 for two RGB images).
        width: hidden channels.

    Source: arXiv:2305.19858.
    """

    reach = 3

    def __init__(self, in_channels: int, width: int = 64):
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU(True))
        self.conv2 = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(True))
        self.conv3 = nn.Sequential(nn.Conv2d(width, 1, 3, padding=1), nn.Sigmoid())

    def of_strip(self, first: Tensor, second: Tensor) -> Tensor:
        """Mask of neighbouring rows.

        The first convolution is computed as the sum of its two halves: the pair is not copied
        together, and no gradient is computed for a map that needs none.
        """
        conv, relu = self.conv1
        assert isinstance(conv, nn.Conv2d)
        half = first.shape[1]
        hidden = F.conv2d(first, conv.weight[:, :half], conv.bias, padding=1)
        hidden = hidden + F.conv2d(second, conv.weight[:, half:], padding=1)
        return self.conv3(self.conv2(relu(hidden)))


class CompactMaskNet(_MaskNetwork):
    """A small mask network: half the resolution, and convolutions of single channels.

    A 4x4 convolution of stride 2, residual blocks (3x3 on each channel, 1x1 across them, ReLU), a
    1x1 convolution, sigmoid, enlarged by bilinear interpolation. On images it has 4,873 weights
    and 1,176 multiplications per pixel, MaskNet 41,025 and 40,896.

    Args:
        in_channels: channels of the concatenated pair (6 for two RGB images).
        width: hidden channels.
        num_blocks: residual blocks.

    Source: the task is that of arXiv:2305.19858; the network is ours.
    """

    def __init__(self, in_channels: int, width: int = 24, num_blocks: int = 3):
        super().__init__()
        self.reach = 2 * (num_blocks + 3)  # even, as the strips' first rows are
        self.conv1 = nn.Sequential(
            nn.Conv2d(in_channels, width, COMPACT_KERNEL, 2, 1), nn.ReLU(True)
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, width, 3, padding=1, groups=width),
                nn.Conv2d(width, width, 1),
                nn.ReLU(True),
            )
            for _ in range(num_blocks)
        )
        self.last = nn.Conv2d(width, 1, 1)

    def of_strip(self, first: Tensor, second: Tensor) -> Tensor:
        """Mask of neighbouring rows of a pair, which begin at an even one."""
        mask = self._half_mask(self._begin(first, second), self.blocks)
        return _enlarge(mask, first)

    def _begin(self, first: Tensor, second: Tensor) -> Tensor:
        """The first convolution, (B, width, ceil(H / 2), ceil(W / 2))."""
        conv, relu = self.conv1
        assert isinstance(conv, nn.Conv2d)
        half, (height, width) = first.shape[1], first.shape[-2:]
        if height % 2 or width % 2:
            edge = (0, width % 2, 0, height % 2)
            first, second = (F.pad(image, edge, mode="replicate") for image in (first, second))
        hidden = F.conv2d(first, conv.weight[:, :half], conv.bias, stride=2, padding=1)
        return relu(hidden + F.conv2d(second, conv.weight[:, half:], stride=2, padding=1))

    def _half_mask(self, hidden: Tensor, blocks: nn.ModuleList) -> Tensor:
        """The last blocks and the mask at half the resolution, one channel."""
        return torch.sigmoid(self.last(_through(blocks, hidden)))


def _through(blocks: nn.ModuleList, hidden: Tensor) -> Tensor:
    for block in blocks:
        hidden = hidden + block(hidden)
    return hidden


def _enlarge(mask: Tensor, like: Tensor) -> Tensor:
    height, width = like.shape[-2:]
    mask = F.interpolate(mask, scale_factor=2, mode="bilinear", align_corners=False)
    return mask[..., :height, :width]


class ContextMaskNet(CompactMaskNet):
    """A compact mask network that also reads global statistics of the pair.

    After half of the blocks each channel is scaled and shifted by what two linear layers make of
    the means of all channels: neither the kind of an error nor how much texture an image has can
    be told from a few pixels. On images it has 7,513 weights and 1,374 multiplications per pixel.

    Args:
        in_channels: channels of the concatenated pair (6 for two RGB images).
        width: hidden channels.
        num_blocks: residual blocks.

    Source: squeeze and excitation (Hu et al. 2018, arXiv:1709.01507), with a shift beside the
    scale (Perez et al. 2018, arXiv:1709.07871).
    """

    def __init__(self, in_channels: int, width: int = 24, num_blocks: int = 4):
        super().__init__(in_channels, width, num_blocks)
        silent = nn.Linear(width, 2 * width)  # until it is trained
        nn.init.zeros_(silent.weight)
        nn.init.zeros_(silent.bias)
        self.context = nn.Sequential(nn.Linear(width, width), nn.ReLU(True), silent)

    def of_pair(self, first: Tensor, second: Tensor) -> Tensor:
        """Mask of the pair [first, second], (B, in_channels / 2, H, W) x 2 -> (B, 1, H, W).

        Without gradients a CPU goes from strip to strip, twice. What the first blocks see is kept
        between; it takes as much memory as a pair of RGB images.
        """
        if _in_one_piece(first):
            return self.of_strip(first, second)
        hidden = _by_strips(self._before, (first, second), self.reach, shrinks=2)
        after = partial(self._after, context=self._context(hidden))
        return _enlarge(_by_strips(after, (hidden,), len(self.blocks)), first)

    def of_strip(self, first: Tensor, second: Tensor) -> Tensor:
        """Mask of a pair that is all that is known, (B, in_channels / 2, H, W) x 2."""
        hidden = self._before(first, second)
        return _enlarge(self._after(hidden, self._context(hidden)), first)

    def _before(self, first: Tensor, second: Tensor) -> Tensor:
        return _through(self.blocks[: len(self.blocks) // 2], self._begin(first, second))

    def _context(self, hidden: Tensor) -> Tensor:
        """Scales and shifts, (B, 2 width, 1, 1), in the precision of what they change."""
        exact = torch.promote_types(hidden.dtype, torch.float32)
        means = hidden.mean((2, 3), dtype=exact)
        return self.context(means).to(hidden.dtype)[..., None, None]

    def _after(self, hidden: Tensor, context: Tensor) -> Tensor:
        scale, shift = context.chunk(2, dim=1)
        return self._half_mask(hidden * (1 + scale) + shift, self.blocks[len(self.blocks) // 2 :])


NETWORKS: dict[str, type[MaskNet] | type[CompactMaskNet]] = {
    "three_conv": MaskNet,
    "compact": CompactMaskNet,
    "context": ContextMaskNet,
}


class VisualMasks(nn.Module):
    """A network that answers masks; what `losses.base.Loss` asks of one.

    Args:
        channels: channels of each compared map; (3,) for images.
    """

    def __init__(self, channels: Sequence[int]):
        super().__init__()
        self.channels = tuple(channels)

    def mask(self, k: int, reference: Tensor, distorted: Tensor) -> Tensor:
        """Mask of map k (from 0): two (B, C_k, H, W) -> (B, 1, H, W), not negative."""
        raise NotImplementedError

    def forward(self, reference: Sequence[Tensor], distorted: Sequence[Tensor]) -> list[Tensor]:
        """Masks of all maps.

        Args:
            reference: maps of the reference, (B, C_k, H_k, W_k) each.
            distorted: maps of the distorted image, the same shapes.

        Returns:
            One (B, 1, H_k, W_k) per map.
        """
        pairs = zip(reference, distorted, strict=True)
        return [self.mask(k, ref, dist) for k, (ref, dist) in enumerate(pairs)]


class MaskBank(VisualMasks):
    """One mask network per tap, named `mask_finder_1`, `mask_finder_2`, ... as in released files.

    Args:
        channels: channels of each tap; (3,) for a mask on RGB images.
        order: how a pair is concatenated, "reference_first" or "distorted_first".
        networks: "three_conv" (as released), "compact" or "context", for all taps or one each.

    Raises:
        ValueError: an unknown order or network, or not one network per tap.
    """

    def __init__(
        self,
        channels: Sequence[int],
        order: str = "reference_first",
        networks: str | Sequence[str] = "three_conv",
    ):
        super().__init__(channels)
        if order not in ORDERS:
            raise ValueError(f"expected order in {ORDERS}, got {order!r}")
        self.order = order
        names = [networks] * len(self.channels) if isinstance(networks, str) else list(networks)
        if len(names) != len(self.channels):
            raise ValueError(f"expected {len(self.channels)} mask networks, got {names}")
        self.networks = tuple(names)
        for k, (name, count) in enumerate(zip(names, self.channels, strict=True), start=1):
            check_name("mask network", name, tuple(NETWORKS))
            self.add_module(f"mask_finder_{k}", NETWORKS[name](2 * count))

    def mask(self, k: int, reference: Tensor, distorted: Tensor) -> Tensor:
        """Mask of tap k (from 0): two (B, C_k, H, W) -> (B, 1, H, W) in [0, 1]."""
        pair = [reference, distorted]
        if self.order == "distorted_first":
            pair.reverse()
        finder = getattr(self, f"mask_finder_{k + 1}")  # get_submodule compiles from torch 2.8 on
        assert isinstance(finder, _MaskNetwork)
        return finder.of_pair(*pair)


class ScalerNetwork(nn.Module):
    """Maps an error value to a MOS-like range with 1x1 convolutions; used to draw visual maps."""

    def __init__(self, width: int = 32):
        super().__init__()
        self.model = nn.Sequential(
            nn.Conv2d(1, width, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, width, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 1, 1),
            nn.Sigmoid(),
        )

    def forward(self, error: Tensor) -> Tensor:
        """(B, 1, H, W) errors -> (B, 1, H, W) in [0, 1]."""
        return self.model(error)


def _channels_in(state: dict[str, Tensor]) -> tuple[int, ...]:
    """Channels of each tap that a released mask file was trained for."""
    channels: list[int] = []
    while (key := f"mask_finder_{len(channels) + 1}.conv1.0.weight") in state:
        if state[key].dim() != 4:
            break
        channels.append(state[key].shape[1] // 2)
    return tuple(channels)


def _networks_in(state: dict[str, Tensor], count: int) -> list[str]:
    """Names of the mask networks of a file, told by what they have."""

    def name(prefix: str) -> str:
        if f"{prefix}.context.0.weight" in state:
            return "context"
        kernel = state[f"{prefix}.conv1.0.weight"].shape[-1]
        return "compact" if kernel == COMPACT_KERNEL else "three_conv"

    return [name(f"mask_finder_{k}") for k in range(1, count + 1)]


def load_masks(
    path: str | Path, channels: Sequence[int], order: str = "reference_first"
) -> MaskBank:
    """Load a frozen mask bank and check that it fits the backbone's taps.

    Args:
        path: a .pth or .safetensors file with `mask_finder_{k}.conv{1,2,3}.0.*` keys, or
            those of the other networks; weights in half precision become float32; the
            `scaler_network.*` keys that stand beside them are for drawing and are not loaded.
        channels: channels of each tap of the backbone, (3,) for images.
        order: how a pair is concatenated.

    Returns:
        A frozen MaskBank.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a mask file, or masks for another backbone or other taps.
    """
    state = load_state_dict(path)
    stored = _channels_in(state)
    if stored != tuple(channels):
        raise ValueError(
            f"{path}: expected masks for taps with {tuple(channels)} channels, "
            f"got {f'masks for {stored}' if stored else 'a file without mask_finder_* keys'}"
        )
    with torch.device("meta"):  # no weights are drawn: the file has all of them
        bank = MaskBank(channels, order, _networks_in(state, len(stored)))
    bank = bank.to_empty(device="cpu")
    masks = {n: value.float() for n, value in state.items() if n.startswith("mask_finder_")}
    try:
        bank.load_state_dict(masks)
    except RuntimeError as error:
        raise ValueError(f"{path}: not a mask file of this kind: {error}") from error
    return freeze(bank)


def load_scaler(path: str | Path) -> ScalerNetwork:
    """Load the frozen scaler network that a mask file carries (see `load_masks`)."""
    prefix = "scaler_network."
    state = load_state_dict(path)
    scaler = ScalerNetwork()
    try:
        scaler.load_state_dict(
            {name[len(prefix) :]: v for name, v in state.items() if name.startswith(prefix)}
        )
    except RuntimeError as error:
        raise ValueError(f"{path}: no scaler network in this file: {error}") from error
    return freeze(scaler)
