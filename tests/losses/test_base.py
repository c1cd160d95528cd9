"""What the base does for every term: error maps, ranges, empty batches, objects, threads, types."""

import copy
import io
import pickle
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from cases import CASES, MASKED, pair_for
from loss_inputs import make_pair

import losses
from losses.frozen import follow

every_term = pytest.mark.parametrize("name", CASES)


@every_term
def test_error_map_sums_to_the_value(make, name):
    term, (x, y) = make(name, reduction="none"), pair_for(name)
    maps = term.error_map(x, y)
    for error, mask in maps:
        assert error.shape[:2] == (2, 1) and (error >= -1e-9).all()
        assert (mask is not None) == (name in MASKED)
        assert mask is None or (mask.shape[:2] == (2, 1) and (mask >= 0).all())
    value = term.finish(term.combine([error.mean((1, 2, 3)) for error, _ in maps]))
    torch.testing.assert_close(value, term(x, y), rtol=1e-5, atol=1e-7)


@every_term
def test_error_map_without_the_masks_is_the_plain_one(make, name):
    term, (x, y) = make(name), pair_for(name)
    of_x, of_y, masks = term.prepared(x, y)
    plain, seen = term.errors(of_x, of_y, [None] * len(masks)), term.errors(of_x, of_y, masks)
    for error, masked, mask in zip(plain, seen, masks, strict=True):
        if mask is None:
            assert torch.equal(error, masked)
        elif term.masking == "error":
            torch.testing.assert_close(masked, mask * error)
        elif term.masking == "difference":
            torch.testing.assert_close(masked, mask.square() * error)
        else:
            assert not torch.allclose(masked, error)


@every_term
def test_empty_batch(make, name):
    term, (x, y) = make(name), pair_for(name)
    for empty in (slice(0), slice(None)), (slice(None), slice(None), slice(0)):
        with pytest.raises(ValueError, match="expected one image or more, got an empty|at least"):
            term(x[empty], y[empty])
    with pytest.raises(ValueError, match=r"expected one image or more, got an empty \(0, 3"):
        term(x[:0], y[:0])


@every_term
@pytest.mark.parametrize("which", ["prediction", "target"])
def test_another_range_is_warned_of_once(make, name, which):
    term, (x, y) = copy.deepcopy(make(name)), pair_for(name)
    term._range_is_known = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        term(x, y)
        term(2 * x - 0.5, y)  # what an untrained network may answer
    pair = (255 * x, y) if which == "prediction" else (x, 2 * y - 1.1)
    with pytest.warns(UserWarning, match=rf"expects images in \[0, 1\], got a {which} .*range"):
        term(*pair)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        term(*pair)


@pytest.mark.parametrize("name", ["E-MAE", "E-MSE", "E-PSNR", "E-SSIM", "E-FLIP", "MILO"])
def test_the_former_name_of_masks(make, files, name):
    x, y = pair_for(name)
    file = files / CASES[name].arguments["masks"]
    with pytest.warns(DeprecationWarning, match="mask file is called `masks` now; `weights` is"):
        former = losses.build_term(name, weights=file)
    assert torch.equal(former(x, y), make(name)(x, y))
    with pytest.raises(ValueError, match="got `masks` and its former name `weights`"):
        losses.build_term(name, weights=file, masks=file)


def test_the_former_name_of_the_base():
    with pytest.warns(DeprecationWarning, match="FeatureDistance is called losses.Loss now"):
        assert losses.FeatureDistance is losses.Loss
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        losses.Nothing  # noqa: B018


@every_term
@pytest.mark.parametrize("used", [False, True])
def test_pickle_and_copy(make, name, used):
    term, (x, y) = make(name), pair_for(name)
    if used:
        term(x.double(), y.double())
    stream = io.BytesIO()
    torch.save(term, stream)
    stream.seek(0)
    again = torch.load(stream, weights_only=False)
    for other in (again, copy.deepcopy(term), pickle.loads(pickle.dumps(term))):  # noqa: S301
        assert torch.equal(other(x, y), term(x, y))


@every_term
def test_built_in_inference_mode_it_trains(files, name):
    arguments = {
        key: str(files / value) if isinstance(value, str) and "." in value else value
        for key, value in CASES[name].arguments.items()
    }
    with torch.inference_mode():
        term = losses.build_term(name, **arguments)
        inside = term(*pair_for(name))
    x, y = pair_for(name)
    value = term(x.requires_grad_(), y)
    torch.testing.assert_close(value, inside)
    value.backward()
    assert x.grad.isfinite().all() and x.grad.abs().sum() > 0


@every_term
def test_a_call_changes_nothing(make, name):
    term, (x, y) = make(name), pair_for(name)
    before = {key: value.clone() for key, value in term.named_buffers()}
    in_double = term(x.double(), y.double())
    assert in_double.dtype == torch.float64
    after = dict(term.named_buffers())
    assert before.keys() == after.keys()
    assert all(v.dtype == after[k].dtype and torch.equal(v, after[k]) for k, v in before.items())
    torch.testing.assert_close(term(x, y), in_double.float(), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", ["E-MAE", "E-VGG", "LPIPS", "E-DISTS"])
def test_threads_share_a_term(make, name):
    """Images of two types at once: each thread gets the values that it would get alone."""
    term = copy.deepcopy(make(name))
    types = (torch.float32, torch.float64) * 4
    pairs = [pair_for(name, seed=seed, dtype=dtype) for seed, dtype in enumerate(types)]
    alone = [make(name)(*pair) for pair in pairs]
    start = threading.Barrier(len(pairs))

    def work(pair):
        start.wait()
        x = pair[0].clone().requires_grad_()
        values = [term(x, pair[1]) for _ in range(3)]
        values[-1].backward()
        assert x.grad.isfinite().all()
        return values

    with ThreadPoolExecutor(len(pairs)) as pool:
        for values, expected in zip(pool.map(work, pairs), alone, strict=True):
            assert all(torch.equal(value, expected) for value in values)


def test_terms_on_one_backbone_share_its_twin():
    criterion = losses.build(
        [{"type": "VGG", "backbone": "embedded"}, {"type": "E-VGG", "backbone": "embedded"}]
    )
    double = torch.zeros(1, dtype=torch.float64)
    first, second = (follow(term, double, shared=term.backbone) for term in criterion.terms)
    assert first.backbone is second.backbone is follow(criterion.terms[0].backbone, double)
    assert (
        first is not criterion.terms[0]
        and follow(criterion.terms[0], torch.zeros(1)) is (criterion.terms[0])
    )


def test_a_twin_follows_what_it_was_copied_from():
    term = losses.VGG("embedded")
    x, y = make_pair(dtype=torch.float64)
    before = term(x, y)
    state = {key: 2 * value for key, value in term.state_dict().items()}
    term.load_state_dict(state)
    assert not torch.allclose(term(x, y), before)


def test_inside_func_the_twin_is_an_ordinary_module():
    term = losses.VGG("embedded")
    x, y = make_pair(batch=1, dtype=torch.float64)
    found = torch.func.grad(lambda image: term(image, y))(x)
    leaf = x.clone().requires_grad_()
    term(leaf, y).backward()
    torch.testing.assert_close(found, leaf.grad)


def test_a_term_of_ones_own_on_the_base():
    """The formula alone: the rest is the base's."""

    class Weighted(losses.Loss):
        masking = "inputs"

        def error(self, k, x, y):
            return (x - y).abs() ** 1.5

    x, y = make_pair()
    bank = losses.MaskBank((3,))
    bank_before = list(bank.parameters())
    plain, masked = Weighted(reduction="none"), Weighted(masks=bank, reduction="none")
    torch.testing.assert_close(plain(x, y), ((x - y).abs() ** 1.5).mean((1, 2, 3)))
    ((error, mask),) = masked.error_map(x, y)
    torch.testing.assert_close(error, ((mask * (x - y)).abs() ** 1.5).mean(1, keepdim=True))
    torch.testing.assert_close(masked(x, y), error.mean((1, 2, 3)))
    assert not list(masked.parameters())
    same = zip(bank.parameters(), bank_before, strict=True)
    assert all(a is b for a, b in same), "the caller's masks go on training"
    with pytest.raises(ValueError, match=r"expected masks for taps with \(3,\).*got \(4,\)"):
        Weighted(masks=losses.MaskBank((4,)))
