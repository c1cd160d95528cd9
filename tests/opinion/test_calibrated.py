import csv

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from restoration.degradations.kadid import RATED
from restoration.opinion import calibrated
from restoration.opinion.calibrated import Calibration
from restoration.opinion.open import draw_opinions
from restoration.opinion.pairs import to_tensor


@pytest.fixture(scope="module")
def photographs():
    rng = np.random.default_rng(0)
    shapes = np.cumsum(rng.normal(0, 4, (3, 96, 96, 3)), axis=2) + 128
    return list(shapes.clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def table(photographs):
    return calibrated.draw_calibrated(photographs, 3, 50, 64, seed=0)


def test_people_rated_all_kinds_at_five_levels():
    with calibrated.MEANS.open(newline="") as file:
        assert len(list(csv.reader(file))) == 26
    means = calibrated.people_means()
    assert list(means) == list(RATED)
    assert all(values.shape == (5,) for values in means.values())
    assert calibrated.opinion("gaussian_blur", 1) == pytest.approx((4.6122 - 1) / 4)
    assert 0 < min(map(np.min, means.values())) and max(map(np.max, means.values())) <= 5


def test_a_table_is_a_pure_function_of_its_seed(photographs, table):
    again = calibrated.draw_calibrated(photographs, 3, 50, 64, seed=0)
    for name, value in vars(table).items():
        np.testing.assert_array_equal(getattr(again, name), value)
    other = calibrated.draw_calibrated(photographs, 1, 5, 64, seed=1)
    assert not np.array_equal(other.versions[0], table.versions[0])


def test_all_kinds_are_drawn_and_scores_are_in_range(table):
    assert set(table.kinds) == set(RATED)
    assert table.scores.min() >= 0 and table.scores.max() <= 1
    assert table.versions.shape == (150, 64, 64, 3)


def test_worse_pictures_of_a_kind_are_rated_lower():
    rng = np.random.default_rng(0)
    levels = rng.uniform(1, 5, 200)
    kinds = np.full(200, "jpeg")
    quality = -levels - rng.normal(0, 0.3, 200)  # of photographs in which an error is larger
    scores = calibrated.rate(kinds, levels, [quality])
    by_level = calibrated.rate(kinds, levels, [quality], own=1)
    np.testing.assert_allclose(by_level, calibrated.opinion("jpeg", levels))
    assert spearmanr(scores, quality)[0] > spearmanr(by_level, quality)[0]
    assert spearmanr(scores, by_level)[0] > 0.9
    by_error = calibrated.rate(kinds, levels, [quality], own=0)
    assert spearmanr(by_error, quality)[0] == pytest.approx(1, abs=1e-3)  # equal beyond the ends


def test_the_level_of_an_average_picture_stays():
    levels = np.linspace(1, 5, 200)
    found = calibrated.equivalent_levels("white_noise", levels, -(levels**2))
    np.testing.assert_allclose(found, levels, atol=0.1)


@pytest.mark.parametrize("kind", ["mean_shift", "contrast_change"])
def test_kinds_that_are_best_in_the_middle_keep_their_side(kind):
    levels = np.linspace(1, 5, 201)
    found = calibrated.equivalent_levels(kind, levels, -abs(levels - 3))
    np.testing.assert_allclose(found, levels, atol=0.3)
    assert (found[levels < 3] <= 3).all() and (found[levels > 3] >= 3).all()


def test_photographs_are_shrunk_only_as_far_as_a_cut_fits():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (200, 150, 3)).astype(np.uint8)
    shapes = [calibrated._shrunk(image, 64, 0.3, rng).shape for _ in range(50)]
    assert min(min(shape[:2]) for shape in shapes) >= 64 + 2 * calibrated.MARGIN
    assert len(set(shapes)) > 20
    for height, width, _ in shapes:
        assert height / width == pytest.approx(4 / 3, rel=0.01)  # its proportions stay
    assert calibrated._shrunk(image, 64, 1.0, rng) is image
    small = image[:90, :90]
    assert calibrated._shrunk(small, 64, 0.3, rng).shape == small.shape


def test_texture_hides_white_noise_where_it_is_asked_to():
    """An even image and one of stripes, with the same noise: which is rated higher?"""
    even = np.full((96, 96, 3), 128, np.uint8)
    stripes = even.copy()
    stripes[:, ::4], stripes[:, 1::4] = 70, 70

    def ratings(kind, **how):
        table = calibrated.draw_calibrated(
            [even, stripes], 2, 12, 64, 0, kinds={kind: RATED[kind]}, how=Calibration(**how)
        )
        return table.scores.reshape(2, -1).mean(1)

    alone = ratings("white_noise", own_level=0)
    masked = ratings("white_noise", own_level=0, noise_masking=0.4)
    assert masked[1] - masked[0] > alone[1] - alone[0] + 0.1
    blur = [ratings("gaussian_blur", noise_masking=exponent) for exponent in (0, 0.4)]
    np.testing.assert_array_equal(*blur)


def test_some_references_are_textures(photographs, table):
    textured = calibrated.draw_calibrated(
        photographs, 6, 5, 64, seed=0, how=Calibration(texture_every=3)
    )
    plain = calibrated.draw_calibrated(photographs, 6, 5, 64, seed=0)
    same = [
        np.array_equal(a, b) for a, b in zip(textured.references, plain.references, strict=True)
    ]
    assert same == [True, False, True, True, False, True]
    rng = np.random.default_rng(0)
    drawn = [calibrated._texture((64, 48), rng) for _ in range(40)]
    assert {image.shape for image in drawn} == {(64, 48, 3)}
    contrasts = [image.astype(float).std() for image in drawn]
    assert min(contrasts) < 15 and max(contrasts) > 60
    grey = [np.ptp(image - image.mean((0, 1)), axis=2).max() < 2 for image in drawn]
    assert any(grey) and not all(grey)


def test_metrics_have_their_share_of_a_rating(photographs):
    teachers = pytest.importorskip("restoration.opinion.teachers")
    seen = []
    how = Calibration(metrics_share=0.3)
    arguments = (photographs, 3, 4, 64, 0)
    mixed = calibrated.draw_calibrated(*arguments, on_progress=lambda: seen.append(1), how=how)
    assert len(seen) == 3 * how.passes == 9
    people = calibrated.draw_calibrated(*arguments)
    np.testing.assert_array_equal(mixed.versions, people.versions)
    pairs = to_tensor(list(people.versions)), to_tensor(list(people.references[people.row]))
    raw = {name: metric(*pairs).numpy() for name, metric in teachers.TEACHERS.items()}
    ranks = np.mean([(rankdata(values) - 1) / 11 for values in raw.values()], axis=0)
    np.testing.assert_allclose(mixed.scores, 0.7 * people.scores + 0.3 * ranks, atol=0.02)


def test_one_version_of_a_kind_is_enough():
    score = calibrated.rate(np.array(["jpeg"]), np.array([2.0]), [np.array([-0.1])])
    assert 0 <= score[0] <= 1


def test_a_cache_of_other_ratings_is_refused(photographs, tmp_path):
    named = {str(n): image for n, image in enumerate(photographs)}
    few = {"num_references": 2, "num_versions": 3, "size": 64}
    cache = tmp_path / "table.npz"
    first = draw_opinions(named, **few, cache=cache, by_people=Calibration())
    again = draw_opinions(named, **few, cache=cache, by_people=Calibration())
    np.testing.assert_array_equal(first.scores, again.scores)
    with pytest.raises(ValueError, match="another people"):
        draw_opinions(named, **few, cache=cache, by_people=Calibration(own_level=0))
    with pytest.raises(ValueError, match="another smallest_scale"):
        draw_opinions(named, **few, cache=cache, by_people=Calibration(smallest_scale=0.5))
    with pytest.raises(ValueError, match="another noise_masking"):
        draw_opinions(named, **few, cache=cache, by_people=Calibration(noise_masking=0.4))
    with pytest.raises(ValueError, match="another texture_every"):
        draw_opinions(named, **few, cache=cache, by_people=Calibration(texture_every=2))
    with pytest.raises(ValueError, match="another metrics, metrics_share"):
        draw_opinions(named, **few, cache=cache, by_people=Calibration(metrics_share=0.3))
    with pytest.raises(ValueError, match="another distortions, people"):
        draw_opinions(named, **few, cache=cache, teachers=["mae"])
    with pytest.raises(ValueError, match="levels from 1 to 5"):
        draw_opinions(named, **few, levels=[6], by_people=Calibration())
