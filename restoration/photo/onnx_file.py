"""Networks as ONNX files, for images of any height and width; weights in float32 or float16.

With float16 only the stored weights are halved: a file casts them back where it begins, so that
everything is computed in float32. The norms of such networks overflow in float16.
"""

import logging
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from restoration.archs.protocol import size_multiple, smallest_side
from restoration.photo.exported import AnySize, Run, example, is_halved

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
OPSET = 18
LARGEST_SIDE = 2**14


def write_onnx(
    denoiser: nn.Module, options: Mapping[str, Any] | None, path: Path, half: bool
) -> Run:
    """Write a network as ONNX: `input` (1, C, H, W) in [0, 1] to `output`, of the same shape.

    Raises:
        ValueError: a package is missing, or the network cannot be exported.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise ValueError(f"ONNX needs {', '.join(missing)}: pip install {' '.join(missing)}")
    import onnx

    _export(denoiser, path)
    model = onnx.load(str(path))
    _tidy(model)
    if half:
        _halve(model)
    onnx.save(model, str(path))
    return open_onnx(path.read_bytes())


def open_onnx(content: bytes) -> Run:
    """Return the function that runs an ONNX file on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return lambda image: torch.from_numpy(session.run(None, {"input": image.numpy()})[0])


def _export(denoiser: nn.Module, path: Path) -> None:
    shortest = max(2 * size_multiple(denoiser), smallest_side(denoiser))
    sides = {
        2: torch.export.Dim("height", min=shortest, max=LARGEST_SIDE),
        3: torch.export.Dim("width", min=shortest, max=LARGEST_SIDE),
    }
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, of its own exporters
            torch.onnx.export(
                AnySize(denoiser).eval(),
                (example(denoiser),),
                str(path),
                dynamo=True,
                opset_version=OPSET,
                input_names=["input"],
                output_names=["output"],
                dynamic_shapes=(sides,),
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # torch has a class for each stage; the first line says what
        text = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"this network cannot be exported as ONNX: {text}") from error


def _tidy(model: Any) -> None:
    """Remove what torch writes down of its own source files, and name the sides of the output."""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del model.graph.value_info[:]  # sizes between, which every program works out itself
    for given, answered in zip(model.graph.input, model.graph.output, strict=True):
        answered.type.CopyFrom(given.type)


def _halve(model: Any) -> None:
    """Store weights as float16, each with a node that casts it to float32."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for weight in model.graph.initializer:
        if weight.data_type != TensorProto.FLOAT or not is_halved(tuple(weight.dims)):
            continue
        name, stored = weight.name, f"{weight.name}.half"
        values = numpy_helper.to_array(weight).astype(np.float16)
        weight.CopyFrom(numpy_helper.from_array(values, stored))
        casts.append(helper.make_node("Cast", [stored], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
