"""One rule for every name that becomes a folder's: in trainings, tests, comparisons and masks."""

import pytest
import yaml
from tiny import tiny_comparison

from restoration.compare.plan import load_comparison
from restoration.masks.options import MaskOptions, load_ablation
from restoration.options.base import check_name
from restoration.options.load import validate

PLACES = [".", "..", "../x", "a/b", "/tmp/x", "a\\b", "C:\\x", "~", "-x", ".x"]  # noqa: S108
UNSAFE = [*PLACES, "", " ", "x ", "x.", "a\nb", "a\0b", "what?"]
MASKS = {"data": {"dataroot": "skimage:coffee"}}


def options(name: str = "run", test_set: str = "val") -> dict:
    datasets = {test_set: {"dataroot_gt": "images"}}
    return {"name": name, "network_g": {"type": "Restormer"}, "datasets": datasets}


@pytest.mark.parametrize(
    "name", ["a", "4x_run", "mae_evgg", "v1.2+b-3", "mit Gürtel", "_x", "vgg share=0.3"]
)
def test_names(name):
    assert check_name(name) == name
    assert validate(options(name, name)).name == name


@pytest.mark.parametrize("name", UNSAFE)
def test_names_that_name_other_places(name):
    with pytest.raises(ValueError, match="expected a name that can be a folder's"):
        check_name(name)


def ablation(folder, name, variant):
    path = folder / "ablation.yml"
    test = {"dataroot": "skimage:rocket"}
    content = {"name": name, "variants": [{"name": variant}], "test": test, **MASKS}
    path.write_text(yaml.safe_dump(content))
    return load_ablation(path)


def comparison(name="tiny", recipe="MAE"):
    losses = ("MAE", "Charbonnier")
    recipes = [{"name": loss, "train": {"losses": [{"type": loss}]}} for loss in losses]
    recipes[0]["name"] = recipe
    return load_comparison(tiny_comparison("images", name=name, recipes=recipes))


@pytest.mark.parametrize(
    "load",
    [
        lambda folder, name: validate(options(name)),
        lambda folder, name: validate(options(test_set=name)),
        lambda folder, name: validate(
            {**options(), "runs": {name: {"pretrain_network_g": "x.pth"}}}
        ),
        lambda folder, name: validate({"name": name, **MASKS}, MaskOptions),
        lambda folder, name: ablation(folder, name, "small"),
        lambda folder, name: ablation(folder, "whole", name),
        lambda folder, name: comparison(name=name),
        lambda folder, name: comparison(recipe=name),
    ],
    ids=["run", "set", "tested", "masks", "ablation", "variant", "comparison", "recipe"],
)
def test_the_rule_holds_everywhere(load, tmp_path):
    load(tmp_path, "mae_evgg")
    for name in PLACES:
        with pytest.raises(ValueError, match="expected a name that can be a folder's"):
            load(tmp_path, name)
