"""What runs a denoiser: torch, or on request onnxruntime or openvino on a CPU.

On two idle cores a photograph of 24 megapixels takes 27 s with torch, 48 s with onnxruntime and
65 s with OpenVINO (experiments/results/photographs/README.md), so torch is the default. The others
read an ONNX file, which is exported once and kept in the cache of weights. Results differ by less
than 1e-3. `experiments/benchmarks/engines.py` measures all three.
"""

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from losses.naming import check_name
from losses.weights import cache_dir
from restoration.archs.protocol import image_channels, size_multiple, smallest_side
from restoration.common import durable
from restoration.common.digests import weights_digest
from restoration.photo.export import compare
from restoration.photo.exported import Run
from restoration.photo.memory import bytes_per_pixel
from restoration.photo.onnx_file import OPSET, PACKAGES, write_onnx

logger = logging.getLogger("restoration")
TORCH = "torch"
ENGINES = (TORCH, "onnxruntime", "openvino")
LARGEST_ERROR = 1e-3  # of a value in [0, 1]
MORE_MEMORY = 2.6  # than torch; measured with onnxruntime


class Exported(nn.Module):
    """A network that another engine runs, to be used where the network is.

    Args:
        network: what was exported.
        engine: what runs it.
        run: maps images (1, C, H, W) on the CPU to images of the same size.
    """

    def __init__(self, network: nn.Module, engine: str, run: Run) -> None:
        super().__init__()
        self.engine, self.run = engine, run
        self.inp_channels = image_channels(network)
        self.multiple = size_multiple(network)
        self.minimum = smallest_side(network)
        self.bytes_per_pixel = MORE_MEMORY * bytes_per_pixel(network, torch.device("cpu"))

    def forward(self, image: Tensor) -> Tensor:
        """Restore images (B, C, H, W), one after the other."""
        return torch.cat([self.run(one.contiguous()) for one in image.split(1)])


def with_engine(network: nn.Module, engine: str, device: torch.device) -> nn.Module:
    """Let an engine run a network.

    Args:
        network: on the device, in evaluation mode.
        engine: "torch", "onnxruntime" or "openvino".
        device: where to compute.

    Returns:
        The network, or what stands for it.

    Raises:
        ValueError: an unknown engine, one that is not installed or not for this device, or a
            network that it cannot run.
    """
    check_name("engine", engine, ENGINES)
    if engine == TORCH:
        return network
    if device.type != "cpu":
        raise ValueError(f"expected the engine torch on {device.type}, got {engine}")
    return _exported(network, engine)


def engine_of(network: nn.Module) -> str:
    """Name what runs a network, for people."""
    return network.engine if isinstance(network, Exported) else TORCH


def _missing(engine: str) -> list[str]:
    """Packages that an engine needs and that are not installed; onnxruntime checks the export."""
    return [name for name in (*PACKAGES, engine) if find_spec(name) is None]


def _exported(network: nn.Module, engine: str) -> Exported:
    missing = list(dict.fromkeys(_missing(engine)))
    if missing:
        raise ValueError(f"the engine {engine} needs {', '.join(missing)}: pip install them")
    path = _file(network)
    if not path.is_file():
        logger.info("exporting the network for %s, once: it is kept in %s", engine, path)
        with durable.replacing(path) as part:
            run = write_onnx(network, None, part, False)
            largest = max(difference.largest for difference in compare(network, run))
            if not largest <= LARGEST_ERROR:
                raise ValueError(f"the exported network differs by {largest:.2g}")
    return Exported(network, engine, OPEN[engine](path))


def _file(network: nn.Module) -> Path:
    """Where the export of a network is kept: a name that its weights and its class decide."""
    kind = f"{type(network).__name__}-{torch.__version__}-{OPSET}"
    return cache_dir() / "engines" / f"{kind}-{weights_digest(network)[:24]}.onnx"


def _open_onnxruntime(path: Path) -> Run:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    return lambda image: torch.from_numpy(session.run(None, {"input": image.numpy()})[0])


def _open_openvino(path: Path) -> Run:
    import openvino

    settings: dict[str, Any] = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    compiled = openvino.Core().compile_model(str(path), "CPU", settings)
    return lambda image: torch.from_numpy(compiled([image.numpy()])[0].copy())


OPEN = {"onnxruntime": _open_onnxruntime, "openvino": _open_openvino}
