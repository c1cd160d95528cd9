"""Folders as people have them: names that meet, links, odd shapes, and what is kept in memory."""

import cv2
import pytest
import torch
import yaml
from tiny import TINY

import losses
from losses.masks import ContextMaskNet
from restoration.archs import build
from restoration.cli import main
from restoration.data import SkimageSource, read_image
from restoration.degradations import gaussian_noise
from restoration.evaluate import EvaluationSet, picture, run
from restoration.evaluate.measure import denoiser_of


@pytest.fixture
def folder(pictures):
    return pictures(2, side=16, seed=5)


@pytest.fixture
def tested(folder, tmp_path):
    """`restoration test` on the folder; returns (exit code, result folder)."""
    torch.manual_seed(0)
    torch.save({"params": build(**TINY).state_dict()}, tmp_path / "net.pth")

    def run(sigmas=(0, 25), **sections):
        options = {
            "name": "own",
            "num_gpu": 0,
            "datasets": {"mine": {"dataroot_gt": str(folder), "sigma_test": list(sigmas)}},
            "network_g": TINY,
            "path": {
                "pretrain_network_g": str(tmp_path / "net.pth"),
                "results_root": str(tmp_path / "results"),
            },
            "val": {"metrics": ["psnr"]},
        } | sections
        file = tmp_path / "own.yml"
        file.write_text(yaml.safe_dump(options))
        return main(["test", "-opt", str(file)]), tmp_path / "results/own"

    return run


def test_pictures_that_differ_in_their_extension_are_all_written(folder, tested):
    darker = read_image(folder / "0.png") // 2
    cv2.imwrite(str(folder / "0.bmp"), darker)
    code, results = tested([0], val={"metrics": ["psnr"], "save_img": True})
    assert code == 0
    written = sorted(path.name for path in (results / "visualization/mine").iterdir())
    assert written == ["0.bmp_sigma0.png", "0.png_sigma0.png", "1.png_sigma0.png"]
    means = [read_image(results / f"visualization/mine/{n}").mean() for n in written[:2]]
    assert means[0] < means[1]


@pytest.mark.parametrize(("single", "kept"), [(True, [0.0, 10.0, 15.0, 25.0]), (False, [])])
def test_images_are_kept_for_a_picture_that_is_drawn_only(
    tested, tmp_path, monkeypatch, single, kept
):
    seen, write = [], run._write
    monkeypatch.setattr(run, "_write", lambda *a: seen.append(a[-1]) or write(*a))
    file = str(tmp_path / "net.pth")
    several = {
        "runs": {"a": {"pretrain_network_g": file}},
        "path": {"results_root": str(tmp_path / "results")},
    }
    code, _ = tested([0, 10, 15, 25, 50], **({} if single else several))
    assert code == 0
    assert sorted(condition.level for condition in seen[0].known) == kept


def test_the_mask_of_a_drawn_picture_is_made_by_strips(tmp_path, monkeypatch):
    """As a whole, the mask of a photograph of 24 megapixels would take gigabytes."""
    begin, seen, drawn = ContextMaskNet._before, [], []
    monkeypatch.setattr(
        ContextMaskNet, "_before", lambda *a: seen.append(a[2].shape[2]) or begin(*a)
    )
    shown = picture.shown
    monkeypatch.setattr(picture, "shown", lambda *a: drawn.append(a) or shown(*a))
    one = EvaluationSet(SkimageSource(["camera@200"]), gaussian_noise(25.0), 1)
    denoise = denoiser_of(torch.nn.Identity())
    picture.draw_picture(tmp_path / "p.png", denoise, one, torch.device("cpu"))
    assert len(seen) == 4 and max(seen) < 100
    _, restored, clean, found = drawn[0]
    torch.testing.assert_close(found, losses.EnhancedMAE().mask(restored, clean))


def test_a_test_without_metrics_restores_and_has_no_table(tested):
    """A table without columns says nothing; a LaTeX one would not compile."""
    code, results = tested([25], val={"metrics": [], "save_img": True})
    assert code == 0
    assert (results / "visualization/mine/0_sigma25.png").is_file()
    assert (results / "per_image.csv").read_text().splitlines()[0] == "run,set,image,sigma"
    assert not (results / "table.md").exists() and not (results / "table.tex").exists()


def test_of_large_images_the_picture_keeps_what_it_draws():
    """100 megapixels under four conditions would be kept as 10 GB until the end of a test."""
    images = [torch.rand(1, 3, 1501, 900) for _ in range(3)]
    found = picture.shown_with_mask(*images)
    assert [image.shape for image in found.images] == [(751, 450, 3)] * 3
    assert found.error.shape == found.mask.shape == (751, 450)


def test_keys_without_effect_are_said(tested):
    code, results = tested([25], val={"metrics": ["psnr"], "use_image": False})
    assert code == 0
    assert "accepted, without effect here: val.use_image" in (results / "test.log").read_text()
