"""From a batch of crops to network input and target, on the device where the network is."""

from collections.abc import Mapping

import torch
from torch import Tensor

from restoration.degradations.chain import Chain

WAYS = {"mixup": 1, "cutmix": 2, "cutblur": 3, "cutblur_outside": 4}  # codes on the wire


class BatchDegradation:
    """Spoil and mix a batch of the sample stream.

    Args:
        chain: what spoils clean crops; None for pairs, which bring their degraded crops.
        noise_map: append sigma / 255 to the input as one more channel, for networks that are told
            the noise level (FFDNet, DRUNet).

    Raises:
        ValueError: noise_map, and the chain has not exactly one gaussian degradation.
    """

    def __init__(self, chain: Chain | None, noise_map: bool = False) -> None:
        self.chain, self.noise_map = chain, noise_map
        if noise_map:
            if chain is None:
                raise ValueError("noise_map needs a gaussian degradation, got pairs of images")
            chain.gaussian_link()

    def __call__(
        self, batch: Mapping[str, Tensor], device: torch.device | str
    ) -> tuple[Tensor, Tensor]:
        """Turn a batch into network input and target.

        Args:
            batch: collated samples of `restoration.data`; `crop` (B, C, P, P) uint8, and
                `parameters` and `seeds` of their degradations, or `input_crop`.
            device: where to compute.

        Returns:
            Degraded and clean images, (B, C, P, P) float32; clean in [0, 1], degraded not clipped.
            With `noise_map`, the input has C + 1 channels.
        """
        spoilt, clean, sigma = self._pair(batch, "", None, device)
        if "lam" in batch:
            rows = (batch["lam"] != 1).nonzero().flatten()  # on the CPU: the partners that count
            if rows.numel():
                sigma = self._mixup(batch, rows, spoilt, clean, sigma, device)
        if "way" in batch:
            self._cut(batch, spoilt, clean, device)
        if sigma is not None:
            level = (sigma.to(spoilt.device) / 255).view(-1, 1, 1, 1)
            spoilt = torch.cat([spoilt, level.expand(-1, 1, *spoilt.shape[-2:])], 1)
        return spoilt, clean

    def _pair(
        self,
        batch: Mapping[str, Tensor],
        prefix: str,
        rows: Tensor | None,
        device: torch.device | str,
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Degraded and clean images, and the noise level where the network is told it."""

        def of(name: str) -> Tensor:
            values = batch[prefix + name]
            return values if rows is None else values[rows]

        clean = to_unit(of("crop"), device)
        if self.chain is None:
            return to_unit(of("input_crop"), device), clean, None
        parameters = of("parameters")
        sigma = self.chain.noise_level(parameters) if self.noise_map else None
        return self.chain.apply(clean, parameters, of("seeds")), clean, sigma

    def _mixup(
        self,
        batch: Mapping[str, Tensor],
        rows: Tensor,
        spoilt: Tensor,
        clean: Tensor,
        sigma: Tensor | None,
        device: torch.device | str,
    ) -> Tensor | None:
        """Mix rows with their partners in place: `lam * sample + (1 - lam) * partner`.

        Both partners are degraded each with its own parameters. Returns the noise level of the
        mixture.
        """
        partner_spoilt, partner, partner_sigma = self._pair(batch, "partner_", rows, device)
        weights = batch["lam"][rows]
        lam, places = weights.to(device).view(-1, 1, 1, 1), rows.to(device)
        spoilt[places] = lam * spoilt[places] + (1 - lam) * partner_spoilt
        clean[places] = lam * clean[places] + (1 - lam) * partner
        if sigma is None or partner_sigma is None:
            return None
        mixed = (weights * sigma[rows]).square() + ((1 - weights) * partner_sigma).square()
        return sigma.index_copy(0, rows, mixed.sqrt())

    def _cut(
        self,
        batch: Mapping[str, Tensor],
        spoilt: Tensor,
        clean: Tensor,
        device: torch.device | str,
    ) -> None:
        """CutMix and CutBlur in place, sample by sample."""
        ways, boxes = batch["way"].tolist(), batch["box"].tolist()
        for row, (way, (top, left, side)) in enumerate(zip(ways, boxes, strict=True)):
            inside = (slice(None), slice(top, top + side), slice(left, left + side))
            if way == WAYS["cutmix"]:
                only = torch.tensor([row])
                partner_spoilt, partner, _ = self._pair(batch, "partner_", only, device)
                spoilt[row][inside] = partner_spoilt[0][inside]
                clean[row][inside] = partner[0][inside]
            elif way == WAYS["cutblur"]:
                spoilt[row][inside] = clean[row][inside]
            elif way == WAYS["cutblur_outside"]:
                kept = spoilt[row][inside].clone()
                spoilt[row] = clean[row]
                spoilt[row][inside] = kept


def to_unit(crops: Tensor, device: torch.device | str) -> Tensor:
    """Uint8 to float32 in [0, 1], on the device."""
    if crops.dtype != torch.uint8:
        raise ValueError(f"expected uint8 crops, got {crops.dtype}")
    return crops.to(device, non_blocking=True).to(torch.float32) / 255
