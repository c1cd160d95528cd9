"""What every term has to bear as a module: inference mode, torch.func, torch.compile, NaN."""

import warnings

import pytest
import torch
from newer import needs_torch

import losses

EMBEDDED = {"backbone": "embedded"}
TERMS = {
    "MAE": {},
    "SSIM": {},
    "FLIP": {},
    "E-MAE": {},
    "E-FLIP": {},
    "VGG": EMBEDDED,
    "E-VGG": EMBEDDED,
}
PADDED = needs_torch("2.6", "gradients of repeated edges in torch.func")


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.rand(2, 3, 16, 20, generator=generator) for _ in range(2))


def gradient(term, prediction, target):
    prediction = prediction.clone().requires_grad_()
    term(prediction, target).backward()
    return prediction.grad


@pytest.mark.parametrize("name", TERMS)
def test_inference_mode_leaves_a_term_that_trains(name, pair):
    """Weights that follow the images in inference mode, as to a GPU, stay ordinary tensors."""
    term, (prediction, target) = losses.build_term(name, **TERMS[name]), (p.double() for p in pair)
    with torch.inference_mode():
        term(prediction, target)
    assert gradient(term, prediction, target).isfinite().all()


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=PADDED if "FLIP" in one else ()) for one in TERMS]
)
def test_func_grad_equals_backward(name, pair):
    """In a process of its own this was a crash of the interpreter."""
    term, (prediction, target) = losses.build_term(name, **TERMS[name]), pair
    found = torch.func.grad(lambda image: term(image, target))(prediction)
    torch.testing.assert_close(found, gradient(term, prediction, target))
    for weight in term.buffers():
        assert not torch._C._functorch.is_functorch_wrapped_tensor(weight)


@pytest.mark.parametrize("name", TERMS)
def test_nan_is_never_a_perfect_image(name, pair):
    prediction, target = pair[0].clone(), pair[1]
    prediction[1] = torch.nan
    values = losses.build_term(name, reduction="none", **TERMS[name])(prediction, target)
    assert values.isnan().tolist() == [False, True]


@needs_torch("2.6", "exporting what switches autocast off")
@pytest.mark.parametrize("name", ["FLIP", "SSIM", "E-MAE", "VGG"])
def test_compiles_as_one_graph_and_exports(name, pair):
    term, (prediction, target) = losses.build_term(name, **TERMS[name]), pair
    expected = term(prediction, target)
    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "Guards may run slower on Python 3.13.0")  # torch's
        compiled = torch.compile(term, fullgraph=True, backend="eager")
        torch.testing.assert_close(compiled(prediction, target), expected)
    exported = torch.export.export(term, (prediction, target)).module()
    torch.testing.assert_close(exported(prediction, target), expected)


def test_flip_compiles_with_its_gradient(pair):
    """Padding as it is done under torch.compile against that of torch."""
    images = pair[0].double().requires_grad_()
    padded = torch.nn.functional.pad(images, (3, 3, 3, 3), mode="replicate")
    (expected,) = torch.autograd.grad(padded.square().sum(), images)
    compiled = torch.compile(losses.flip._repeat_edges, backend="eager", fullgraph=True)
    found = compiled(images, 3)
    torch.testing.assert_close(found, padded)
    torch.testing.assert_close(torch.autograd.grad(found.square().sum(), images)[0], expected)
    graphs = []

    def look(module, inputs):
        graphs.append([str(node.target) for node in module.graph.nodes])
        return module

    torch.compile(losses.flip._repeat_edges, backend=look)(images.detach().float(), 3)
    assert not any("pad" in target for graph in graphs for target in graph)


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        (["MAE"], "with a `type`, .* got 'MAE'"),
        ([{"type": 3}], "with a `type`, .* got {'type': 3}"),
        ({"type": "MAE"}, "with a `type`, .* got 'type'"),
        ([{"type": "MAE", "weight": None}], "finite weight of loss MAE, got None"),
        ([{"type": "MAE", "weight": "much"}], "finite weight of loss MAE, got 'much'"),
        ([{"type": "MAE", "weight": float("nan")}], "finite weight of loss MAE, got nan"),
        ([{"type": "Charbonnier", "eps": 0.0}], "expected eps > 0, got 0.0"),
    ],
)
def test_what_is_no_criterion(terms, message):
    with pytest.raises(ValueError, match=message):
        losses.build(terms)


@pytest.mark.parametrize("weights", [{}, {"MAE": 1.0, "SSIM": 1.0}])
def test_weights_and_terms_belong_together(weights):
    with pytest.raises(ValueError, match="one weight per term"):
        losses.Criterion({"MAE": losses.MAE()}, weights)
