from dataclasses import replace

import numpy as np
import pytest
import torch

import losses
from restoration.data import write_png
from restoration.degradations.distortions import DISTORTIONS, choose_kinds
from restoration.masks.batches import MaskSettings, check_table, draw_batch
from restoration.masks.outcome import agreement, distances, measure
from restoration.opinion import teachers
from restoration.opinion.open import (
    choose_teachers,
    draw_opinions,
    read_photographs,
    table_of_people,
)
from restoration.opinion.people import OpinionData, open_opinions
from restoration.opinion.table import ImageFiles, OpinionTable, check_apart


def numbered(height, width, start=0):
    """A picture in which every pixel tells its own place: row, column, `start`."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, np.full_like(rows, start)], -1).astype(np.uint8)


def small(count=4, versions=3, side=24):
    references = np.stack([numbered(side, side, n) for n in range(count)])
    row = np.repeat(np.arange(count), versions)
    images = np.stack([references[r] for r in row])
    images[..., 2] += 100
    scores = np.linspace(0, 1, len(row))
    return OpinionTable(
        references, images, row, np.full(len(row), "jpeg"), scores, np.arange(count)
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": np.zeros(3)}, "columns of one length"),
        ({"scores": np.full(12, 1.2)}, r"expected scores in \[0, 1\], got 1.2, 1.2"),
        ({"scores": np.full(12, np.nan)}, r"expected scores in \[0, 1\], got nan"),
        ({"row": np.full(12, 4)}, r"expected references 0..3, got 4..4"),
        ({"photographs": np.arange(3)}, "expected a photograph for each of 4 references, got 3"),
    ],
)
def test_what_is_no_table(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(small(), **changes)


def test_subset_takes_every_pair_with_its_reference():
    table = small().subset([2, 0])
    assert table.row.tolist() == [0, 0, 0, 1, 1, 1]
    assert table.references[:, 0, 0, 2].tolist() == [2, 0]
    assert table.versions[:, 0, 0, 2].tolist() == [102] * 3 + [100] * 3
    np.testing.assert_allclose(table.scores, np.linspace(0, 1, 12)[[6, 7, 8, 0, 1, 2]])


def test_splits_go_by_photograph_not_by_reference():
    names = np.array(["a", "b", "a", "c"])
    first, second = replace(small(), photographs=names).split(3)
    assert set(first.photographs) == {"b", "c"} and second.photographs.tolist() == ["a", "a"]


def test_a_photograph_in_both_parts():
    table = small()
    with pytest.raises(ValueError, match="in one part, got in both 2"):
        check_apart(table.subset([0, 2]), table.subset([1, 2]))
    renamed = replace(table.subset([2]), photographs=np.array(["other"]))
    with pytest.raises(ValueError, match="in one part, got in both other"):
        check_apart(table.subset([0, 2]), renamed)
    check_apart(table.subset([0, 1]), table.subset([2, 3]))


def test_a_file_is_good_for_what_made_it_alone(tmp_path):
    path = tmp_path / "below" / "table.npz"
    small().save(path, {"seed": 1, "size": 24})
    again = OpinionTable.load(path, {"seed": 1, "size": 24})
    for name, value in vars(small()).items():
        np.testing.assert_array_equal(getattr(again, name), value)
    with pytest.raises(ValueError, match="drawn with another seed: delete it"):
        OpinionTable.load(path, {"seed": 2, "size": 24})
    np.savez(path, a=1)
    with pytest.raises(ValueError, match="expected a table of scored pairs"):
        OpinionTable.load(path)


# ------------------------------------------------------------------ batches


def test_crops_are_of_one_place_in_reference_and_version():
    settings = MaskSettings(crop=16, batch_references=3, batch_versions=2, seed=5)
    tops = set()
    for step in range(30):
        references, versions, scores = draw_batch(small(side=40), settings, step)
        assert references.shape == versions.shape == (6, 3, 16, 16) and scores.shape == (6,)
        np.testing.assert_array_equal(references[:, :2], versions[:, :2])
        corner = references[:, 0].amin((1, 2)) * 255  # the topmost row of each crop
        assert (corner.round() % 8 == 0).all()
        tops |= {int(value.round()) for value in corner}
    assert tops == {0, 8, 16, 24}


def test_a_batch_is_a_function_of_seed_and_step():
    settings = MaskSettings(crop=16, batch_references=3, batch_versions=2, seed=5)
    first, again, other = (draw_batch(small(), settings, step) for step in (3, 3, 4))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[2], other[2])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_references": 5}, "expected 5 references or more for a batch, got 4"),
        ({"crop": 32}, "at most 24 pixels, the shortest side of a reference"),
        ({"crop": 20}, "a multiple of 8, got 20"),
    ],
)
def test_batches_that_cannot_be_drawn(changes, message):
    settings = MaskSettings(**{"crop": 24, "batch_references": 4, **changes})
    with pytest.raises(ValueError, match=message):
        check_table(small(), settings)


# ------------------------------------------------------------------ people's opinion


@pytest.fixture
def people(tmp_path):
    """Two references of different sizes; names end in the level, as KADID-10k's do."""
    rows = ["dist_img,ref_img,dmos,var"]
    (tmp_path / "images").mkdir()
    for number, size in enumerate([(24, 32), (40, 48)]):
        write_png(tmp_path / f"images/I{number:02d}.png", numbered(*size, number))
        for kind in (1, 10, 12):
            for level in (1, 5):
                name = f"I{number:02d}_{kind:02d}_{level:02d}.png"
                write_png(tmp_path / "images" / name, numbered(*size, 50 + kind + level))
                rows.append(f"{name},I{number:02d}.png,{5 - 0.5 * level},0.1")
    (tmp_path / "dmos.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def test_people_and_metrics_make_the_same_table(people):
    table = table_of_people(open_opinions(f"kadid10k:{people}"))
    assert [image.shape for image in table.references] == [(24, 32, 3), (40, 48, 3)]
    assert isinstance(table.versions, ImageFiles) and len(table) == 12
    assert set(table.kinds) == {"gaussian_blur", "jpeg", "white_noise_color"}
    np.testing.assert_allclose(table.scores[:2], [(4.5 - 1) / 4, (2.5 - 1) / 4])  # 1..5 -> 0..1
    settings = MaskSettings(crop=16, batch_references=2, batch_versions=4)
    references, versions, _ = draw_batch(table, settings, 0)
    np.testing.assert_array_equal(references[:, :2], versions[:, :2])
    first, second = table.split(2)
    assert first.photographs.tolist() == [str(people / "images/I01.png")]
    assert second.versions[0].shape == (24, 32, 3)


def test_fewer_references_levels_and_kinds(people):
    data = open_opinions(f"kadid10k:{people}")
    one = table_of_people(data, num_references=1, seed=3)
    assert len(one.references) == 1 and len(one) == 6
    assert len(table_of_people(data, levels=[5])) == 6
    blurred = table_of_people(data, distortions=["blur"], levels=[1])
    assert set(blurred.kinds) == {"gaussian_blur"} and len(blurred) == 2
    with pytest.raises(ValueError, match="expected 1 to 2 references, got 3"):
        table_of_people(data, num_references=3)
    with pytest.raises(ValueError, match=r"got 'blurr'; did you mean 'blur'"):
        table_of_people(data, distortions=["blurr"])
    plain = replace(data, distorted=tuple(f"a{n}.png" for n in range(len(data))))
    with pytest.raises(ValueError, match=r"do not name levels .*drop data.levels"):
        table_of_people(plain, levels=[1])


def test_images_of_no_use_are_named_before_the_training(people):
    data = open_opinions(f"kadid10k:{people}")
    write_png(people / "images/I00_01_05.png", numbered(8, 8))
    (people / "images/I01_01_05.png").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"2 images cannot be used: I00_01_05.png \(8x8, its ref"):
        table_of_people(data)


def test_an_image_that_changes_later(tmp_path):
    write_png(tmp_path / "a.png", numbered(8, 9))
    with pytest.raises(ValueError, match="a.png: expected 4x4 pixels like its reference, got 9x8"):
        ImageFiles([tmp_path / "a.png"], [(4, 4)])[0]


def test_scores_outside_the_range(tmp_path):
    names = ("r.png",) * 2, ("a.png", "b.png"), ("x", "x")
    with pytest.raises(ValueError, match=r"expected scores from 0 to 9, got b.png \(12\)"):
        OpinionData("tid", tmp_path, *names, np.array([3.0, 12.0]), (0.0, 9.0))


# ------------------------------------------------------------------ pseudo-opinion


def test_names_of_kinds_and_teachers():
    assert choose_kinds(None, list(DISTORTIONS)) == list(DISTORTIONS)
    chosen = choose_kinds(["blur", "jpeg"], list(DISTORTIONS))
    assert chosen == ["gaussian_blur", "lens_blur", "motion_blur", "jpeg"]
    ensemble, held_out = choose_teachers(None), choose_teachers("held-out")
    assert set(ensemble).isdisjoint(held_out)
    assert list(choose_teachers(["haarpsi", "held-out"])) == ["haarpsi", *held_out]
    with pytest.raises(ValueError, match="got 'harpsi'; did you mean 'haarpsi'"):
        choose_teachers(["harpsi"])


def test_a_drawn_table_is_kept_and_known_again(tmp_path):
    photographs = read_photographs(["skimage:astronaut,coffee"], 64)
    assert list(photographs) == [
        "skimage:astronaut,coffee/astronaut",
        "skimage:astronaut,coffee/coffee",
    ]
    advances = []
    arguments = {
        "num_references": 3,
        "num_versions": 4,
        "size": 64,
        "distortions": ["noise"],
        "levels": [5],
        "teachers": "haarpsi",
        "cache": tmp_path / "table.npz",
        "on_progress": lambda: advances.append(1),
    }
    table = draw_opinions(photographs, **arguments)
    again = draw_opinions(photographs, **arguments)
    assert len(advances) == 6 and len(table) == 12 and len(set(table.photographs)) == 2
    assert {DISTORTIONS[kind].family for kind in table.kinds} == {"noise"}
    np.testing.assert_array_equal(table.versions, again.versions)
    with pytest.raises(ValueError, match="with another levels, teachers: delete it"):
        draw_opinions(photographs, **{**arguments, "levels": [4], "teachers": "vsi"})
    with pytest.raises(ValueError, match="expected levels from 1 to 5"):
        draw_opinions(photographs, **{**arguments, "levels": [0]})


def test_a_photograph_that_is_too_small():
    with pytest.raises(ValueError, match="expected sides of 600 or more"):
        read_photographs(["skimage:astronaut"], 600)


# ------------------------------------------------------------------ agreement


def test_distances_are_those_of_single_pairs(people):
    table = table_of_people(open_opinions(f"kadid10k:{people}"))
    found = distances(lambda r, d: (r - d).abs().mean((1, 2, 3)), table)
    for number in range(len(table)):
        reference = table.references[table.row[number]] / 255.0
        wanted = np.abs(reference - table.versions[number] / 255.0).mean()
        assert found[number] == pytest.approx(wanted, rel=1e-5)


def test_agreement_by_kind_and_family():
    kinds = np.array(["jpeg", "jpeg2000", "jpeg", "jpeg2000", "pink_noise", "odd"] * 2)
    table = replace(small(), kinds=kinds)
    overall, by_kind = agreement(-table.scores, table)
    assert overall == pytest.approx(1) and by_kind["jpeg"] == pytest.approx(1)
    flat = agreement(np.ones(12), table, by_family=True)
    assert flat == (None, {"compression": None, "noise": None, "odd": None})
    assert set(measure({"a": table.scores}, table)["a"]) == {"all", "families", "kinds"}


def test_learned_teachers_are_built_when_they_are_asked(monkeypatch):
    def distance(*args, **kwargs):
        return lambda x, y: (x - y).abs().mean((1, 2, 3))

    for name, teacher in (("dists", "DISTS"), ("lpips", "LPIPS")):
        monkeypatch.setattr(losses, teacher, distance)
        (function,) = choose_teachers(name).values()
        x, y = torch.rand(2, 2, 3, 8, 8)
        torch.testing.assert_close(function(x, y), -(x - y).abs().mean((1, 2, 3)))
    for build in (teachers._dists, teachers._lpips):
        build.cache_clear()
