"""The list of terms of an option file: sum, names, signs and errors."""

import pytest
import torch
from loss_inputs import make_pair

import losses


def test_weighted_sum_and_values():
    x, y = make_pair()
    criterion = losses.build(
        [
            {"type": "MAE"},
            {"type": "SSIM", "weight": "0.5"},
            {"type": "Charbonnier", "weight": 2, "eps": 0.1, "name": "soft"},
        ]
    )
    total, values = criterion(x, y)
    expected = [losses.MAE()(x, y), losses.SSIM()(x, y), losses.Charbonnier(0.1)(x, y)]
    assert list(values) == ["MAE", "SSIM", "soft"]
    torch.testing.assert_close(torch.stack(list(values.values())), torch.stack(expected))
    torch.testing.assert_close(total, expected[0] + 0.5 * expected[1] + 2 * expected[2])


@pytest.mark.parametrize("type", ["PSNR", "E-PSNR"])
def test_higher_is_better_is_subtracted(files, type):
    x, y = make_pair()
    more = {"masks": files / "pixel.safetensors"} if type == "E-PSNR" else {}
    total, values = losses.build([{"type": type, "weight": 0.1, **more}])(x, y)
    assert values[type] > 0
    torch.testing.assert_close(total, -0.1 * values[type])


def test_values_are_detached_and_the_total_is_not():
    x, y = make_pair()
    total, values = losses.build([{"type": "MAE"}])(x.requires_grad_(), y)
    assert total.requires_grad
    assert not values["MAE"].requires_grad


def test_float32_under_autocast():
    x, y = make_pair()
    criterion = losses.build([{"type": "MAE"}, {"type": "VGG", "backbone": "embedded"}])
    with torch.autocast("cpu", torch.bfloat16):
        total, values = criterion(x.bfloat16(), y)
    assert {total.dtype, *(v.dtype for v in values.values())} == {torch.float32}


def test_same_type_twice_needs_names():
    with pytest.raises(ValueError, match="two loss terms are named 'MAE'"):
        losses.build([{"type": "MAE"}, {"type": "MAE", "weight": 2}])
    named = losses.build([{"type": "MAE"}, {"type": "MAE", "name": "again"}])
    assert named.names == ("MAE", "again")


def test_the_options_are_left_as_they_were():
    options = [{"type": "MAE", "weight": 2.0, "name": "pixels"}]
    losses.build(options)
    assert options == [{"type": "MAE", "weight": 2.0, "name": "pixels"}]


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ([], "expected at least one loss term"),
        ([{"weight": 1.0}], "expected a loss term with a `type`"),
        ([{"type": "EVGG"}], "unknown loss type 'EVGG'.*did you mean 'E-VGG'"),
        ([{"type": "charbonier"}], "did you mean 'Charbonnier'"),
        (
            [{"type": "zzzz"}],
            "unknown loss type 'zzzz'; known: MAE, .*MILO .a loss of your own",
        ),
        (
            [{"type": "E-MAE", "maks": "x"}],
            "unknown argument 'maks' of loss E-MAE.*'masks'",
        ),
        ([{"type": "MAE", "eps": 1.0}], "unknown argument 'eps' of loss MAE; known: reduction"),
        ([{"type": "MAE", "reduction": "avg"}], "expected reduction"),
        ([{"type": "E-MAE", "order": "first"}], "expected order in .* got 'first'"),
    ],
)
def test_raises(terms, message, files):
    if terms and terms[0].get("order"):
        terms = [{**terms[0], "masks": files / "pixel.safetensors"}]
    with pytest.raises(ValueError, match=message):
        losses.build(terms)
