"""A comparison from a checkpoint that says itself what its network is."""

import json

import pytest
import torch
import yaml
from tiny import TINY, tiny_comparison

from restoration.archs import build_network
from restoration.cli import main


@pytest.mark.parametrize("benchmarked", [False, True])
def test_nobody_gives_the_network(pictures, tmp_path, benchmarked):
    content = {"params": build_network(TINY).state_dict(), "network_g": TINY}
    torch.save(content, tmp_path / "start.pth")
    recipes = [{"name": term, "train": {"losses": [{"type": term}]}} for term in ("MAE", "MSE")]
    if benchmarked:
        recipes[1] = {"name": "before", "pretrain_network_g": str(tmp_path / "start.pth")}
    given = tiny_comparison(pictures(2, side=24), recipes=recipes)
    given |= {"start": str(tmp_path / "start.pth"), "val": {"metrics": ["psnr"]}}
    del given["network_g"]
    (tmp_path / "compare.yml").write_text(yaml.safe_dump(given))
    out = tmp_path / "out"
    assert main(["compare", "-opt", str(tmp_path / "compare.yml"), "--out", str(out)]) == 0
    results = json.loads((out / "results.json").read_text())
    assert len(results["recipes"]) == 2
    written = yaml.safe_load((out / "recipes/MAE/options.yml").read_text())
    assert written["network_g"] == TINY
