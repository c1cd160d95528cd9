"""What the tests of all loss terms need to know of each: arguments, an independent truth."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import reference
import torch
from loss_inputs import alexnet_features, make_pair

from losses import dists, flip, functional, lpips

MASKED = (
    *("E-VGG", "E-MAE", "E-MSE", "E-PSNR", "E-SSIM"),
    *("E-LPIPS", "E-DISTS", "E-FLIP", "MILO"),
)
FROZEN = ("VGG", "LPIPS", "DISTS", *MASKED)


def arrays(state):
    return {name: value.double().numpy() for name, value in state.items()}


def pixel_masks(term, x, y):
    state = arrays(term.masks.state_dict())
    return np.stack([reference.mask(state, 1, b, a) for a, b in zip(x, y, strict=True)])


def masked_pair(term, x, y):
    mask = pixel_masks(term, x, y)
    return mask * x, mask * y


def embedded_taps(term, image):
    body = term.backbone.body
    state = arrays(body.state_dict())
    levels = [
        [(state[f"levels.{n}.{i}.weight"], state[f"levels.{n}.{i}.bias"]) for i in (0, 2)]
        for n in range(len(body.channels))
    ]
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    return reference.conv_levels((image - mean[:, None, None]) / std[:, None, None], levels)


def feature_reference(term, x, y):
    values = []
    for a, b in zip(x, y, strict=True):
        taps_a, taps_b, masks = embedded_taps(term, a), embedded_taps(term, b), None
        if term.masks is not None:
            state = arrays(term.masks.state_dict())
            pairs = enumerate(zip(taps_b, taps_a, strict=True), start=1)
            masks = [reference.mask(state, k, ref, dist) for k, (ref, dist) in pairs]
        values.append(reference.feature_distance(taps_a, taps_b, masks))
    return np.array(values)


def lpips_reference(term, x, y):
    """The package's own network, its AlexNet filled layer by layer."""
    import lpips

    network = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False).eval()
    state = alexnet_features()
    for part in network.net.children():
        for number, layer in part.named_children():
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight.data = state[f"features.{number}.weight"]
                layer.bias.data = state[f"features.{number}.bias"]
    with torch.no_grad():
        pair = [torch.from_numpy(image).float() * 2 - 1 for image in (x, y)]
        return network(*pair).flatten().double().numpy()


def flip_reference(term, x, y):
    """The paper's authors' own package, which computes in float32."""
    import flip_evaluator

    masks = np.ones((len(x), 1, 1, 1)) if term.masks is None else pixel_masks(term, x, y)
    values = []
    for a, b, mask in zip(x, y, masks, strict=True):
        pair = [np.ascontiguousarray(z.transpose(1, 2, 0), np.float32) for z in (b, a)]
        found, _, _ = flip_evaluator.evaluate(*pair, "LDR", applyMagma=False)
        values.append(np.mean(mask[0] * found[:, :, 0]))
    return np.array(values)


@torch.no_grad()
def vgg16_reference_taps(term, image, pool=None):
    """Taps of torchvision's VGG-16 with the term's weights; `pool(channels)` replaces max-pools."""
    from torchvision.models import vgg16

    with torch.device("meta"):
        layers = vgg16().features[:30]
    layers = layers.to_empty(device="cpu")
    state = term.backbone.body.state_dict()
    layers.load_state_dict({k.removeprefix("features_"): v for k, v in state.items()})
    mean, std = (
        torch.tensor(values, dtype=torch.float64).view(3, 1, 1)
        for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    x, taps = ((torch.from_numpy(image) - mean) / std)[None], []
    for layer in layers.double():
        if isinstance(layer, torch.nn.MaxPool2d):
            taps.append(x[0].numpy())
            layer = layer if pool is None else pool(channels=x.shape[1]).double()
        x = layer(x.clone())  # its ReLUs work in place
    return [*taps, x[0].numpy()]


def dists_reference(term, x, y):
    from torchmetrics.functional.image.dists import L2pooling

    weights = torch.load(dists.shipped_channel_weights(), weights_only=True)
    alpha, beta = (weights[name].double().numpy().ravel() for name in ("alpha", "beta"))
    values = []
    for a, b in zip(x, y, strict=True):
        maps = [[z, *vgg16_reference_taps(term, z, L2pooling)] for z in (a, b)]
        if term.masks is not None:
            state = arrays(term.masks.state_dict())
            pairs = enumerate(zip(*maps, strict=True), start=1)
            masks = [reference.mask(state, k, ref, dist) for k, (dist, ref) in pairs]
            maps = [[m * z for m, z in zip(masks, of, strict=True)] for of in maps]
        similar = [reference.dists_similarities(p, q) for p, q in zip(*maps, strict=True)]
        texture, structure = (np.concatenate(part) for part in zip(*similar, strict=True))
        values.append(1 - (alpha @ texture + beta @ structure) / (alpha.sum() + beta.sum()))
    return np.array(values)


def elpips_reference(term, x, y):
    """The channel weights of the lpips package; the rest is NumPy on torchvision's features."""
    import lpips

    file = Path(lpips.__file__).parent / "weights/v0.1/vgg.pth"
    linear = list(arrays(torch.load(file, "cpu", weights_only=True)).values())
    masks, values = arrays(term.masks.state_dict()), []
    for pair in zip(x, y, strict=True):
        taps = [vgg16_reference_taps(term, image) for image in pair]
        total = 0.0
        for k, (p, t) in enumerate(zip(*taps, strict=True)):
            p, t = (z / np.linalg.norm(z, axis=0) for z in (p, t))
            mask = reference.mask(masks, k + 1, t, p)
            total += (linear[k][0] * (mask * (p - t)) ** 2).sum(0).mean()
        values.append(total)
    return np.array(values)


def milo_reference(term, x, y):
    state = arrays(term.masks.state_dict())
    masks = [reference.milo_mask(state, b, a) for a, b in zip(x, y, strict=True)]
    return np.array([np.mean(m * np.abs(a - b)) for m, a, b in zip(masks, x, y, strict=True)])


def unit_feature_function(term, x, y):
    of_x, of_y = ([lpips.unit_length(f) for f in taps] for taps in term.features(x, y))
    linear = term.linear.split(term.backbone.channels)
    masks = [1.0] * len(of_x) if term.masks is None else term.masks(of_y, of_x)
    return sum(
        (w[:, None, None] * (m * (a - b)).square()).sum(1).mean((1, 2))
        for a, b, m, w in zip(of_x, of_y, masks, linear, strict=True)
    )


def dists_function(term, x, y):
    of_x, of_y = ([z, *taps] for z, taps in zip((x, y), term.features(x, y), strict=True))
    masks = [1.0] * len(of_x) if term.masks is None else term.masks(of_y, of_x)
    parts = []
    for a, b, m in zip(of_x, of_y, masks, strict=True):
        texture, around_a, around_b, variances = dists.statistics(a * m, b * m)
        squares = (around_a - around_b).square().mean((2, 3))
        parts.append((texture, squares / (variances + dists.STABILISER)))
    texture, structure = (torch.cat(part, dim=1) for part in zip(*parts, strict=True))
    return texture @ term.alpha + structure @ term.beta


def feature_function(term, x, y):
    of_x, of_y = term.features(x, y)
    masks = [None] * len(of_x) if term.masks is None else term.masks(of_y, of_x)
    parts = [
        a.shape[1] * ((a - b).abs() * (1.0 if mask is None else mask)).mean((1, 2, 3))
        for a, b, mask in zip(of_x, of_y, masks, strict=True)
    ]
    return sum(parts) / sum(term.backbone.channels)


@dataclass(frozen=True)
class Case:
    """What the template needs to know of a term."""

    reference: Callable
    function: Callable
    arguments: dict = field(default_factory=dict)
    perfect: tuple[float, float] = (0.0, 0.0)  # between these for identical images
    channels: int = 1  # a number of channels that the term refuses; 0 if it takes any
    side: int = 12
    tolerance: float = 1e-6  # relative, of the reference in float64


PIXEL = {"masks": "pixel.safetensors"}
CASES = {
    "MAE": Case(
        lambda _, x, y: reference.mae(x, y), lambda _, x, y: functional.mae(x, y), channels=0
    ),
    "MSE": Case(
        lambda _, x, y: reference.mse(x, y), lambda _, x, y: functional.mse(x, y), channels=0
    ),
    "Charbonnier": Case(
        lambda _, x, y: reference.charbonnier(x, y, 0.01),
        lambda _, x, y: functional.charbonnier(x, y, 0.01),
        {"eps": 0.01},
        perfect=(0.01, 0.01),
        channels=0,
    ),
    "PSNR": Case(
        lambda _, x, y: reference.psnr(x, y),
        lambda _, x, y: functional.psnr(x, y),
        perfect=(120.0, 120.0),
        channels=0,
    ),
    "SSIM": Case(
        lambda _, x, y: 1 - reference.ssim(x, y),
        lambda _, x, y: 1 - functional.ssim(x, y),
        channels=0,
    ),
    "VGG": Case(feature_reference, feature_function, {"backbone": "embedded", "weights": "random"}),
    "E-VGG": Case(
        feature_reference,
        feature_function,
        {"backbone": "embedded", "weights": "random", "masks": "embedded_masks.safetensors"},
    ),
    "E-MAE": Case(
        lambda t, x, y: reference.mae(*masked_pair(t, x, y)),
        lambda t, x, y: functional.mae(t.mask(x, y) * x, t.mask(x, y) * y),
        PIXEL,
    ),
    "E-MSE": Case(
        lambda t, x, y: (pixel_masks(t, x, y) * (x - y) ** 2).mean((1, 2, 3)),
        lambda t, x, y: (t.mask(x, y) * (x - y) ** 2).mean((1, 2, 3)),
        PIXEL,
    ),
    "E-PSNR": Case(
        lambda t, x, y: reference.psnr(*masked_pair(t, x, y)),
        lambda t, x, y: functional.psnr(t.mask(x, y) * x, t.mask(x, y) * y),
        PIXEL,
        perfect=(120.0, 120.0),
    ),
    "E-SSIM": Case(
        lambda t, x, y: reference.dissimilarity_same(*masked_pair(t, x, y)),
        lambda t, x, y: functional.dissimilarity(t.mask(x, y) * x, t.mask(x, y) * y, 5).mean(
            (1, 2, 3)
        ),
        PIXEL,
    ),
    "LPIPS": Case(
        lpips_reference,
        unit_feature_function,
        {"weights": "alexnet.pth"},
        side=32,
    ),
    "E-LPIPS": Case(
        elpips_reference,
        unit_feature_function,
        {"weights": "vgg16.safetensors", "masks": "vgg16_masks.safetensors"},
        side=32,
    ),
    "DISTS": Case(dists_reference, dists_function, {"weights": "vgg16.safetensors"}),
    "E-DISTS": Case(
        dists_reference,
        dists_function,
        {"weights": "vgg16.safetensors", "masks": "dists_masks.safetensors"},
    ),
    "FLIP": Case(flip_reference, lambda _, x, y: flip.flip(x, y), tolerance=1e-4),
    "E-FLIP": Case(
        flip_reference,
        lambda t, x, y: (t.mask(x, y) * flip.flip_map(x, y)).mean((1, 2, 3)),
        PIXEL,
        tolerance=1e-4,
    ),
    "MILO": Case(
        milo_reference,
        lambda t, x, y: (t.mask(x, y) * (x - y).abs()).mean((1, 2, 3)),
        {"masks": "milo.pth"},
    ),
}


def pair_for(name, **more):
    return make_pair(side=CASES[name].side, **more)
