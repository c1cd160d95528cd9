"""Grids: names and options of the recipes that they make, and what they refuse."""

import pytest
import torch
from tiny import tiny_comparison

from restoration.compare.plan import load_comparison

MAE = {"type": "MAE"}
VGG = {"name": "vgg", "train": {"losses": [MAE, {"type": "VGG", "backbone": "embedded"}]}}
EVGG = {"name": "evgg", "train": {"losses": [MAE, {"type": "E-VGG", "backbone": "embedded"}]}}
PLAIN = {"name": "mae", "train": {"losses": [MAE]}}


def plan(**keys):
    return load_comparison(tiny_comparison("images", **keys))


def weights(found):
    return {recipe.name: recipe.options.train.losses[-1].weight for recipe in found.recipes}


def test_weights_of_terms_make_recipes():
    found = plan(
        recipes=[PLAIN, VGG, EVGG],
        grid={"VGG": [{"share": 0.1}, {"share": 0.3}], "E-VGG": [1e-3, 0.01]},
    )
    names = ["mae", "vgg share=0.1", "vgg share=0.3", "evgg weight=0.001", "evgg weight=0.01"]
    assert [recipe.name for recipe in found.recipes] == names
    assert [recipe.family for recipe in found.recipes] == ["mae", "vgg", "vgg", "evgg", "evgg"]
    assert found.reference.name == "mae"
    given = weights(found)
    assert given["vgg share=0.3"].share == 0.3
    assert given["evgg weight=0.01"] == 0.01
    assert all(recipe.options.name == recipe.name for recipe in found.recipes)


def test_the_reference_and_what_is_expected_name_recipes_of_the_grid():
    keys = {"recipes": [VGG], "grid": {"VGG": [0.1, 1]}}
    expected = [{"recipe": "vgg weight=0.1", "signs": {"psnr": "higher"}}]
    found = plan(**keys, reference="vgg weight=1", expected=expected)
    assert found.reference.name == "vgg weight=1"
    with pytest.raises(ValueError, match="`reference`: expected a recipe of vgg weight=0.1, vgg"):
        plan(**keys, reference="vgg")


def test_terms_that_are_named_and_options_of_any_kind():
    named = {"name": "a", "train": {"losses": [MAE, {"type": "VGG", "name": "feat"}]}}
    grid = {"feat": [0.1], "feat.precision": ["float32", "bf16"], "train.optim_g.lr": [1e-3]}
    found = plan(recipes=[named], grid=grid)
    assert [recipe.name for recipe in found.recipes] == [
        "a weight=0.1 precision=float32 lr=0.001",
        "a weight=0.1 precision=bf16 lr=0.001",
    ]
    assert [r.options.train.losses[1].precision for r in found.recipes] == ["float32", "bf16"]
    assert {r.options.train.optim_g.lr for r in found.recipes} == {1e-3}


def test_lists_are_reached_by_number_and_values_of_any_kind_are_named():
    grid = {"train.losses.1.backbone": ["embedded", "vgg16"], "train:optim_g:betas": [[0.9, 0.99]]}
    found = plan(recipes=[VGG], grid=grid)
    assert [recipe.name for recipe in found.recipes] == [
        "vgg backbone=embedded betas=0.9-0.99",
        "vgg backbone=vgg16 betas=0.9-0.99",
    ]
    assert found.recipes[0].options.train.optim_g.betas == (0.9, 0.99)


def test_two_weights_are_named_with_their_terms():
    both = {
        "name": "both",
        "train": {"losses": [MAE, *(r["train"]["losses"][1] for r in (VGG, EVGG))]},
    }
    found = plan(recipes=[both], grid={"VGG": [{"share": 0.2}], "E-VGG": [0.1, 1]})
    assert [recipe.name for recipe in found.recipes] == [
        "both VGG share=0.2 E-VGG weight=0.1",
        "both VGG share=0.2 E-VGG weight=1",
    ]


def test_a_grid_of_ones_own_replaces_the_common_one():
    recipes = [VGG, EVGG | {"grid": {"E-VGG": [5]}}, VGG | {"name": "alone", "grid": {}}]
    found = plan(recipes=recipes, grid={"VGG": [1, 2]})
    names = ["vgg weight=1", "vgg weight=2", "evgg weight=5", "alone"]
    assert [recipe.name for recipe in found.recipes] == names


def test_checkpoints_have_no_grid():
    saved = {"name": "saved", "pretrain_network_g": "net.pth"}
    found = plan(recipes=[VGG, saved], grid={"VGG": [1, 2], "train.optim_g.lr": [1e-3]})
    assert [recipe.name for recipe in found.recipes][-1] == "saved"
    with pytest.raises(ValueError, match="a checkpoint is not trained and has no `grid`"):
        plan(recipes=[VGG, saved | {"grid": {"VGG": [1]}}])


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (
            {"VG": [1, 2]},
            r"expected a loss term \(MAE, VGG\) or the path .* got 'VG'.*did you mean",
        ),
        ({"VGG": []}, "expected different values for VGG, got"),
        ({"VGG": [1, 1.0]}, "expected different values for VGG, got"),
        ({"train.total_itr": [1]}, "recipe vgg: unknown option `train.total_itr`; did you mean"),
        ({"train.losses.7.weight": [1]}, "expected a number below 2 for an element of a list"),
        ({"train.total_iter.x": [1]}, "expected the path of an option, got 'train.total_iter.x'"),
        ({"VGG": [{"share": 2}]}, "recipe vgg: option `train.losses"),
    ],
)
def test_grids_that_vary_nothing_or_wrongly(grid, message):
    with pytest.raises(ValueError, match=message):
        plan(recipes=[VGG, VGG | {"name": "other"}], grid=grid)


def test_seeds_and_manual_seed_do_not_go_together():
    with pytest.raises(ValueError, match="`manual_seed` cannot stand beside `seeds`"):
        plan(recipes=[VGG], grid={"manual_seed": [1, 2]}, seeds=[1, 2])


# ------------------------------------------------------------------ start


def test_a_start_is_the_checkpoint_of_every_training(tmp_path):
    for content, key in ((("params",), "params"), (("params", "params_ema"), "params_ema")):
        file = tmp_path / f"{key}.pth"
        torch.save({name: {"w": torch.zeros(1)} for name in content}, file)
        saved = {"name": "saved", "pretrain_network_g": "net.pth"}
        found = plan(recipes=[PLAIN, VGG, saved], start=str(file))
        for recipe in found.recipes[:2]:
            path = recipe.options.path
            assert (path.pretrain_network_g, path.param_key_g) == (file, key)
        assert str(found.recipes[2].options.path.pretrain_network_g) == "net.pth"


def test_a_start_beside_a_start_of_ones_own_is_refused():
    with pytest.raises(ValueError, match="expected `start` or `path.pretrain_network_g`, got both"):
        plan(recipes=[PLAIN | {"path": {"pretrain_network_g": "x.pth"}}, VGG], start="y.pth")
