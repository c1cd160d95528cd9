import itertools
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy import ndimage
from torch import nn

import losses
from losses.frozen import follow
from restoration.masks import place, trainable
from restoration.masks import trainer as masks
from restoration.masks.batches import MaskSettings, draw_batch
from restoration.masks.outcome import agreement, distances
from restoration.masks.scaler import fit_scaler
from restoration.masks.state import latest_state, load_progress, replace_state
from restoration.masks.taps import NUM_BATCHES, NUM_UPDATES, settle_taps
from restoration.masks.trainable import KINDS, EnhancedMetric, build_metric
from restoration.opinion.table import OpinionTable
from restoration.opinion.teachers import draw_table, ensemble

SETTINGS = MaskSettings(num_steps=60, crop=32, batch_references=3, batch_versions=3, seed=1)


@pytest.fixture(scope="module")
def table():
    """Noise in a smooth half is seen, the same error in a striped half is not."""
    rng = np.random.default_rng(0)
    stripes = 128 + 100 * np.sign(np.sin(np.arange(32) * 1.6))[None, :, None]
    references, versions, scores = [], [], []
    for _ in range(6):
        reference = np.full((32, 32, 3), 128.0) + rng.uniform(-20, 20)
        reference[16:] = stripes
        rows, values = [], []
        for k in range(6):
            strength = 10 + 6 * k
            half = slice(0, 16) if rng.random() < 0.5 else slice(16, 32)
            distorted = reference.copy()
            distorted[half] += rng.normal(0, strength, (16, 32, 3))
            rows.append(distorted.clip(0, 255).astype(np.uint8))
            values.append(0.5 - strength / 80 if half.start == 0 else 1 - strength / 400)
        references.append(reference.clip(0, 255).astype(np.uint8))
        versions.append(rows)
        scores.append(values)
    row = np.repeat(np.arange(6), 6)
    kinds = np.full(36, "white_noise")
    images = np.array(references), np.concatenate(versions)
    return OpinionTable(*images, row, kinds, np.ravel(scores), np.arange(6))


def trained(table, **options):
    torch.manual_seed(0)
    trainer = masks.MaskTrainer(EnhancedMetric("e-mae"))
    masks.train_masks(trainer, table, SETTINGS, **options)
    return trainer


def test_the_mask_learns_what_the_plain_metric_cannot_know(table):
    metric = trained(table).metric
    plain, _ = agreement(distances(lambda r, d: metric(r, d, False), table), table)
    enhanced, per_kind = agreement(distances(metric, table), table)
    assert enhanced > plain + 0.1
    assert set(per_kind) == {"white_noise"}


def test_resume_equals_uninterrupted(table, tmp_path):
    whole = trained(table)
    trained(table, states=tmp_path, stop_at=25)
    assert [path.name for path in tmp_path.iterdir()] == ["25.state"]
    resumed = trained(table, states=tmp_path)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, rtol=0, atol=0)


def test_the_state_before_the_newest_is_kept(tmp_path, caplog):
    caplog.set_level("WARNING", "restoration")
    layer = nn.Linear(2, 1)
    optimizer = torch.optim.Adam(layer.parameters())
    for step in (1, 2, 3):
        replace_state(tmp_path, layer, optimizer, step)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2.state", "3.state"]
    for damage in (b"", (tmp_path / "3.state").read_bytes()[:-400]):
        (tmp_path / "3.state").write_bytes(damage)
        assert latest_state(tmp_path).name == "2.state"
    assert "passed over" in caplog.text
    shutil.copy(tmp_path / "2.state", tmp_path / "3.state")
    assert load_progress(latest_state(tmp_path), layer, optimizer) == 2


def test_mapping_falls_with_the_distance():
    mapped = masks.MappingNetwork()(torch.logspace(-5, 0, 50))
    assert (mapped.diff() < 0).all()
    assert (mapped >= 0).all() and (mapped <= 1).all()


def test_rank_loss_prefers_the_right_order():
    wanted = torch.tensor([0.1, 0.5, 0.9])
    assert masks.rank_loss(wanted, wanted) < masks.rank_loss(wanted.flip(0), wanted)


def numpy_parts(image):
    half = image.double().numpy().reshape(3, 12, 2, 13, 2).mean((2, 4))
    grey = np.tensordot([0.299, 0.587, 0.114], half, 1)
    gradient = np.hypot(*[ndimage.prewitt(grey, axis, mode="nearest") / 3 for axis in (0, 1)])
    chroma = np.stack([np.tensordot(row, half, 1) for row in place.OPPONENT[1:]])
    return gradient[None], chroma, ndimage.uniform_filter(grey, 3, mode="nearest")[None]


def test_dissimilarity_against_scipy():
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(2, 1, 3, 24, 26, generator=generator)
    similarity = np.ones((12, 13))
    for a, b, floor in zip(
        numpy_parts(x[0]), numpy_parts(y[0]), (26e-4, 846e-5, 1e-4), strict=True
    ):
        part = (2 * (a * b).sum(0) + floor) / ((a**2 + b**2).sum(0) + floor)
        similarity *= part.clip(0)
    np.testing.assert_allclose(place.dissimilarity(x, y)[0, 0], 1 - similarity, atol=1e-5)
    assert place.dissimilarity(x, x).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("kind", "term"),
    [
        ("e-mae", losses.EnhancedMAE),
        ("e-mse", losses.EnhancedMSE),
        ("e-ssim", losses.EnhancedSSIM),
        ("e-psnr", losses.EnhancedPSNR),
        ("e-flip", losses.EnhancedFLIP),
    ],
)
def test_a_trained_file_gives_the_loss_that_was_trained(kind, term, tmp_path):
    torch.manual_seed(0)
    trainer = masks.MaskTrainer(EnhancedMetric(kind))
    reference, distorted = torch.rand(2, 2, 3, 32, 32)
    trainer.start(reference, distorted)
    file = tmp_path / "masks.safetensors"
    save_file(trainer.metric.folded(), file)
    with torch.no_grad():
        value = trainer.metric(reference, distorted)
    wanted = -10 * torch.log10(value) if kind == "e-psnr" else value
    found = term(masks=file, reduction="none")(distorted, reference)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def test_a_trained_feature_bank_gives_e_vgg(tmp_path):
    torch.manual_seed(0)
    backbone = losses.build_backbone("embedded", weights="random")
    trainer = masks.MaskTrainer(EnhancedMetric("e-vgg", backbone))
    reference, distorted = torch.rand(2, 2, 3, 32, 32)
    trainer.start(reference, distorted)
    file = tmp_path / "masks.safetensors"
    save_file(trainer.metric.folded(), file)
    bank = losses.load_masks(file, backbone.channels)
    loss = losses.FeatureLoss(backbone, bank, reduction="none")
    with torch.no_grad():
        wanted = trainer.metric(reference, distorted)
    torch.testing.assert_close(loss(distorted, reference), wanted, rtol=1e-4, atol=1e-6)


@pytest.fixture(scope="module")
def vgg16(tmp_path_factory):
    """File of random VGG-16 weights under torchvision's names."""
    torch.manual_seed(0)
    state = losses.build_backbone("vgg16", weights="random").body.state_dict()
    file = tmp_path_factory.mktemp("vgg") / "vgg16.safetensors"
    save_file({name.replace("features_", "features."): v for name, v in state.items()}, file)
    return file


@pytest.mark.parametrize(("kind", "term"), [("e-lpips", losses.ELPIPS), ("e-dists", losses.EDISTS)])
@pytest.mark.parametrize("order", ["reference_first", "distorted_first"])
def test_a_trained_file_gives_the_learned_distance(kind, term, order, vgg16, tmp_path):
    torch.manual_seed(0)
    metric = build_metric(kind, weights=vgg16, order=order)
    reference, distorted = torch.rand(2, 2, 3, 32, 32)
    masks.MaskTrainer(metric).start(reference, distorted)
    file = tmp_path / "masks.safetensors"
    save_file(metric.folded(), file)
    with torch.no_grad():
        wanted = metric(reference, distorted)
        found = term(vgg16, file, order=order, reduction="none")(distorted, reference)
        again = build_metric(kind, weights=vgg16, order=order, masks=file)(reference, distorted)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(again, wanted, rtol=1e-4, atol=1e-7)


def test_taps_of_any_backbone(tmp_path):
    torch.manual_seed(0)
    taps = ["relu1_2", "relu2_2", "relu3_4"]
    metric = build_metric("e-vgg", "vgg19", "random", taps)
    assert metric.channels == (64, 128, 256)
    reference, distorted = torch.rand(2, 1, 3, 32, 32)
    masks.MaskTrainer(metric).start(reference, distorted)
    file = tmp_path / "masks.safetensors"
    save_file(metric.folded(), file)
    backbone = metric.plain.backbone
    loss = losses.FeatureLoss(backbone, losses.load_masks(file, backbone.channels))
    with torch.no_grad():
        wanted = metric(reference, distorted)[0]
    torch.testing.assert_close(loss(distorted, reference), wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_masks_get_the_right_gradients(kind, vgg16):
    generator = torch.Generator().manual_seed(0)
    weights = None if kind in trainable.PIXEL_METRICS else vgg16
    metric = build_metric(kind, "vgg16" if kind == "e-vgg" else None, weights)
    images = torch.rand(2, 1, 3, 16, 16, generator=generator, dtype=torch.float64)
    x, y = (metric.features(image) for image in images)
    masks = [torch.rand(f[:, :1].shape, generator=generator, dtype=torch.float64) for f in x]
    plain = follow(metric.plain, images)

    def first_map(mask):
        return plain.errors(x, y, [mask, *masks[1:]])[0]

    assert torch.autograd.gradcheck(first_map, masks[0].requires_grad_(), fast_mode=True)


def test_filters_of_an_error_are_not_rounded_to_half_precision():
    reference = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    distorted = (reference + 0.01).clamp(0, 1)
    for kind in ("e-ssim", "e-flip"):
        metric = EnhancedMetric(kind)
        with torch.no_grad():
            (wanted,) = metric.error_maps(reference, distorted, masked=False)
            with torch.autocast("cpu", torch.bfloat16):
                (found,) = metric.error_maps(reference, distorted, masked=False)
        torch.testing.assert_close(found, wanted, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "e-mae", "backbone": "vgg16"}, "e-mae compares pixels"),
        ({"kind": "e-lpips", "backbone": "vgg19"}, "has all taps of vgg16"),
        ({"kind": "e-dists", "taps": ["relu1_2"]}, "has all taps of vgg16"),
    ],
)
def test_arguments_that_a_metric_has_no_use_for(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_metric(**arguments)


def test_ctrl_c_between_two_steps_keeps_the_state(table, tmp_path):
    def interrupt(done, terms, norm):
        assert set(terms) == {"regression", "ranking", "place"} and norm > 0
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(table, states=tmp_path, on_step=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["7.state"]
    (tmp_path / "7.state").write_bytes(b"broken")
    with pytest.raises(ValueError, match="7.state: not a state of this training"):
        trained(table, states=tmp_path)


def test_a_loss_that_is_not_finite_is_not_kept(table, tmp_path):
    trainer = masks.MaskTrainer(EnhancedMetric("e-mae"))
    with torch.no_grad():
        trainer.mappings[0].offset.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="not finite at step 1: lower train.learning_rate"):
        masks.train_masks(trainer, table, SETTINGS, tmp_path, save_freq=1)
    assert not list(tmp_path.iterdir())


def test_every_tap_is_asked_for_the_opinion_by_itself():
    torch.manual_seed(0)
    backbone = losses.build_backbone("embedded", weights="random")
    trainer = masks.MaskTrainer(EnhancedMetric("e-vgg", backbone))
    reference, distorted = torch.rand(2, 2, 3, 32, 32)
    trainer.start(reference, distorted)
    found = trainer(reference, distorted)
    counts = [len(each) for each in (found.scores, found.places, found.slopes)]
    assert counts == [1 + len(backbone.channels)] * 3
    found.scores[1].sum().backward(retain_graph=True)  # of the first tap
    finders = [trainer.metric.masks.get_submodule(f"mask_finder_{k}") for k in (1, 2)]
    assert finders[0].conv1[0].weight.grad.abs().sum() > 0
    assert finders[1].conv1[0].weight.grad is None
    found.imbalance.backward()
    assert finders[1].conv1[0].weight.grad.abs().sum() > 0


def test_masks_that_hide_alike_are_in_balance():
    backbone = losses.build_backbone("embedded", weights="random")
    trainer = masks.MaskTrainer(EnhancedMetric("e-vgg", backbone))
    pair = torch.rand(2, 2, 3, 32, 32)
    last = [trainer.metric.masks.get_submodule(f"mask_finder_{k + 1}").conv3[0] for k in range(3)]
    for conv in last[: len(backbone.channels)]:
        torch.nn.init.zeros_(conv.weight)
        torch.nn.init.zeros_(conv.bias)
    assert trainer(*pair).imbalance < 1e-6
    torch.nn.init.constant_(last[0].bias, -3)  # its sigmoid is 0.095 of the others' half
    apart = math.log(torch.sigmoid(torch.tensor(-3.0)) / 0.5)
    taps = len(backbone.channels)
    expected = apart**2 * (taps - 1) / taps**2  # variance of one number apart
    assert trainer(*pair).imbalance.item() == pytest.approx(expected, rel=0.02)


def test_with_a_decay_further_taps_follow_the_first_one_pair_by_pair():
    backbone = losses.build_backbone("embedded", weights="random")
    trainer = masks.MaskTrainer(EnhancedMetric("e-vgg", backbone))
    pair = torch.rand(2, 4, 3, 32, 32)
    for mask in trainer.metric.masks.children():
        torch.nn.init.constant_(mask.conv3[0].bias, -1)
    added = np.log([part.detach().numpy() for part in added_to_pairs(trainer.metric, *pair)])
    off = np.abs(added[1:] - added[0] - np.log(0.3) * np.arange(1, len(added))[:, None])
    expected = np.where(off < 1, off**2 / 2, off - 0.5).mean()  # Huber's loss
    imbalance = trainer(*pair, decay=0.3).imbalance
    assert imbalance.item() == pytest.approx(expected, rel=0.01)  # masks may be in bf16
    imbalance.backward()
    first, second = (trainer.metric.masks.get_submodule(f"mask_finder_{k}") for k in (1, 2))
    assert first.conv3[0].bias.grad is None or not first.conv3[0].bias.grad.any()
    assert second.conv3[0].bias.grad.abs() > 0


def test_with_a_decay_the_first_mask_stays_open():
    backbone = losses.build_backbone("embedded", weights="random")
    trainer = masks.MaskTrainer(EnhancedMetric("e-vgg", backbone))
    first = trainer.metric.masks.get_submodule("mask_finder_1").conv3[0]
    torch.nn.init.zeros_(first.weight)
    pair = torch.rand(2, 4, 3, 32, 32)
    torch.nn.init.constant_(first.bias, -10)
    trainer(*pair, decay=0.3).imbalance.backward()
    assert first.bias.grad < 0  # a step opens it
    first.bias.grad = None
    torch.nn.init.constant_(first.bias, -2)
    trainer(*pair, decay=0.3).imbalance.backward()
    assert first.bias.grad == 0


def test_with_a_decay_a_single_tap_is_in_balance():
    backbone = losses.build_backbone("vgg16", ["relu1_2"], weights="random")
    trainer = masks.MaskTrainer(EnhancedMetric("e-vgg", backbone))
    assert trainer(*torch.rand(2, 4, 3, 32, 32), decay=0.3).imbalance == 0


def test_a_training_with_a_decay_asks_for_it_in_its_balance(table):
    torch.manual_seed(0)
    trainer = masks.MaskTrainer(
        EnhancedMetric("e-vgg", losses.build_backbone("embedded", weights="random"))
    )
    batch = draw_batch(table, SETTINGS, 0)
    trainer.start(*batch[:2])
    settings = replace(SETTINGS, balance_weight=1.0, tap_decay=0.05)
    optimizer = masks.build_optimizer(trainer)
    for group in optimizer.param_groups:
        group["lr"] = 1e-3 * group["scale"]
    found = []
    for _ in range(40):
        found.append(masks.loss_terms(trainer, settings, batch)["balance"])
        optimizer.zero_grad()
        found[-1].backward()
        optimizer.step()
    assert found[-1] < 0.3 * found[0]


def added_to_pairs(metric, reference, distorted):
    """What each tap adds to the value of each pair: per tap (B,)."""
    maps = metric.error_maps(reference, distorted)
    parts = zip(metric.plain.shares, maps, strict=True)
    return [share * part.mean((1, 2, 3)) for share, part in parts]


def test_taps_settle_to_what_each_is_to_add(table):
    torch.manual_seed(0)
    backbone = losses.build_backbone("embedded", weights="random")
    metric, taps = EnhancedMetric("e-vgg", backbone), len(backbone.channels)
    pair = torch.cat([draw_batch(table, SETTINGS, step)[0] for step in range(NUM_BATCHES)])
    other = torch.cat([draw_batch(table, SETTINGS, step)[1] for step in range(NUM_BATCHES)])
    masks.MaskTrainer(metric).start(pair, other)
    before = metric.visual_masks(*metric.features_of(pair, other))
    settle_taps(metric, table, SETTINGS, decay=0.25)
    added = added_to_pairs(metric, pair, other)
    ratios = [(b / a).log().mean().exp().item() for a, b in itertools.pairwise(added)]
    assert ratios == pytest.approx([0.25] * (taps - 1), rel=0.02)
    after = metric.visual_masks(*metric.features_of(pair, other))
    torch.testing.assert_close(after[0], before[0])
    assert all(not torch.equal(*both) for both in zip(after[1:], before[1:], strict=True))


def test_a_tap_that_misses_its_share_is_told(table, caplog):
    torch.manual_seed(0)
    metric = EnhancedMetric("e-vgg", losses.build_backbone("embedded", weights="random"))
    pair = draw_batch(table, SETTINGS, 0)[:2]
    masks.MaskTrainer(metric).start(*pair)
    seen = []
    settle_taps(metric, table, SETTINGS, decay=0.25, on_progress=lambda: seen.append(1))
    assert len(seen) == NUM_UPDATES
    assert not caplog.records
    settle_taps(metric, table, SETTINGS, decay=1e4)  # a mask is 1 at most
    assert "of what tap 1 adds, not 10000 (train.tap_decay)" in caplog.text


def test_few_pairs_do_not_close_a_mask_for_all_others(table, monkeypatch):
    torch.manual_seed(0)
    metric = EnhancedMetric("e-vgg", losses.build_backbone("embedded", weights="random"))
    pair = draw_batch(table, SETTINGS, 0)[:2]
    masks.MaskTrainer(metric).start(*pair)
    maps_of = metric.maps_of

    def large_on_one_pair(of_reference, of_distorted, masked=True):
        first, second, *rest = maps_of(of_reference, of_distorted, masked)
        factors = torch.ones(len(second), 1, 1, 1)
        factors[0] = 1e6
        return [first, factors * second, *rest]

    monkeypatch.setattr(metric, "maps_of", large_on_one_pair)
    settle_taps(metric, table, SETTINGS, decay=0.25)
    added = added_to_pairs(metric, *pair)
    assert (added[1][1:] / added[0][1:]).median() > 0.01


def test_a_tap_that_adds_nothing_keeps_its_mask_finite(table, caplog, monkeypatch):
    torch.manual_seed(0)
    metric = EnhancedMetric("e-vgg", losses.build_backbone("embedded", weights="random"))
    shares = [*metric.plain.shares[:-1], 0.0]
    monkeypatch.setattr(type(metric.plain), "shares", property(lambda _: shares))
    settle_taps(metric, table, SETTINGS, decay=0.25)
    assert all(weight.isfinite().all() for weight in metric.masks.parameters())
    assert "tap 3 adds 0 of what tap 2 adds, not 0.25 (train.tap_decay)" in caplog.text


def test_terms_without_a_weight_are_left_out():
    one = replace(SETTINGS, contrast_weight=2.0)
    assert masks.names_of_terms(SETTINGS) == ("regression", "ranking", "place")
    assert masks.names_of_terms(one) == ("regression", "ranking", "place", "contrast")


def test_plain_metric_is_the_metric_without_masks():
    reference, distorted = torch.rand(2, 2, 3, 32, 32)
    plain = EnhancedMetric("e-mae")(reference, distorted, masked=False)
    torch.testing.assert_close(plain, (reference - distorted).abs().mean((1, 2, 3)))


def test_scaler_rises_from_nothing_to_the_opinion():
    distances = torch.linspace(0.001, 0.02, 40)
    visible = (distances / 0.02) ** 0.5
    state = fit_scaler(distances, visible)
    scaler = losses.ScalerNetwork()
    scaler.load_state_dict({k.removeprefix("scaler_network."): v for k, v in state.items()})
    with torch.no_grad():
        found = scaler(distances.view(-1, 1, 1, 1)).flatten()
        at_zero = scaler(torch.zeros(1, 1, 1, 1)).item()
    assert at_zero < 0.1
    assert (found - visible).abs().mean() < 0.05


def test_no_photograph_stands_on_both_sides_of_a_split(table):
    references = table.references.copy()
    references[:, 0, 0, 0] = np.arange(6)  # no two are alike
    table = replace(table, references=references)
    first, second = table.split(3)
    assert set(first.photographs).isdisjoint(second.photographs)
    assert len(first.references) + len(second.references) == len(table.references)
    with pytest.raises(ValueError, match="photographs"):
        table.subset([1]).split(3)


def test_ensemble_is_monotone_and_in_range():
    raw = np.random.default_rng(0).normal(size=(5, 4))
    scores = ensemble({"a": raw, "b": np.exp(raw)})
    assert scores.min() == 0 and scores.max() == 1
    assert (np.argsort(scores, axis=None) == np.argsort(raw, axis=None)).all()


def test_pseudo_opinion_of_real_distortions_falls_with_the_error():
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    smooth = ndimage.gaussian_filter(image, (4, 4, 0)).astype(np.uint8)
    table = draw_table([smooth], 2, 6, 64, seed=0)
    assert table.scores.shape == (12,) and table.versions.shape == (12, 64, 64, 3)
    again = draw_table([smooth], 2, 6, 64, seed=0)
    np.testing.assert_array_equal(table.scores, again.scores)
    np.testing.assert_array_equal(table.versions, again.versions)


@pytest.mark.parametrize("kind", ["e-vgg", "e-something"])
def test_bad_kind(kind):
    assert "e-vgg" in KINDS
    with pytest.raises(ValueError, match="expected one of e-mae"):
        EnhancedMetric(kind)


@pytest.mark.parametrize(
    ("place", "networks"),
    [("masking", "compact"), ("masking", "three_conv"), ("masking", "context")],
)
def test_compact_masks_train_and_go_into_a_file(place, networks, table, tmp_path):
    settings = replace(SETTINGS, num_steps=30, place=place, warmup_iter=5)
    torch.manual_seed(0)
    trainer = masks.MaskTrainer(EnhancedMetric("e-mae", networks=networks), place)
    metric = masks.train_masks(trainer, table, settings)
    file = tmp_path / "masks.safetensors"
    save_file(metric.folded(), file)
    reference, distorted = torch.rand(2, 2, 3, 32, 32)
    found = losses.EnhancedMAE(masks=file, reduction="none")(distorted, reference)
    torch.testing.assert_close(found, metric(reference, distorted).detach(), rtol=1e-4, atol=1e-6)


def test_the_learning_rate_warms_up():
    settings = replace(SETTINGS, warmup_iter=10)
    rates = [masks.learning_rate(settings, step) for step in range(12)]
    assert rates[0] == pytest.approx(0.1 * settings.learning_rate)
    assert all(a < b for a, b in zip(rates, rates[1:10], strict=False))


def test_a_reference_of_many_versions_is_looked_at_once(monkeypatch):
    metric = EnhancedMetric("e-vgg", losses.build_backbone("embedded", weights="random"))
    images = torch.rand(3, 3, 32, 32)[[0, 0, 1, 2, 2]]
    seen, features = [], EnhancedMetric.features
    monkeypatch.setattr(
        EnhancedMetric, "features", lambda self, x: seen.append(len(x)) or features(self, x)
    )
    found = metric.features_of_repeated(images)
    assert seen == [3]
    for one, other in zip(found, features(metric, images), strict=True):
        torch.testing.assert_close(one, other)


def test_first_convolutions_of_many_channels_learn_slower():
    metric = EnhancedMetric("e-vgg", losses.build_backbone("embedded", weights="random"))
    trainer = masks.MaskTrainer(metric)
    scales = {}
    for group in masks.build_optimizer(trainer, scaled_rates=True).param_groups:
        scales |= {id(parameter): group["scale"] for parameter in group["params"]}
    assert set(scales) == {id(p) for p in trainer.parameters()}
    found = [scales[id(net.conv1[0].weight)] for net in metric.masks.children()]
    assert found == [3 / 24, 3 / 48, 3 / 96]
    assert scales[id(metric.masks.mask_finder_1.conv2[0].weight)] == 1
    assert len(masks.build_optimizer(trainer).param_groups) == 2


def test_a_training_goes_on_from_given_masks(table):
    shipped = "pixel_mask_e_mae"  # compact, whatever network is asked for
    metric = EnhancedMetric("e-mae", masks=shipped)
    wanted = losses.load_masks(shipped, (3,)).state_dict()
    trainer = masks.MaskTrainer(metric)
    reference, distorted, _ = draw_batch(table, SETTINGS, 0)
    with torch.no_grad():
        before = metric(reference, distorted)
        trainer.start(reference, distorted)
        torch.testing.assert_close(metric(reference, distorted), before)
    assert metric.spread.item() != 1
    torch.testing.assert_close(metric.folded(), dict(wanted))
    masks.train_masks(trainer, table, replace(SETTINGS, num_steps=3))
    moved = [(metric.folded()[name] - value).abs().max() for name, value in wanted.items()]
    assert 0 < max(moved) < 0.02


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_weights_between_start_and_end(share):
    torch.manual_seed(0)
    metric = EnhancedMetric("e-vgg", losses.build_backbone("embedded", weights="random"))
    start = metric.folded()
    metric.set_spread([torch.tensor(size) for size in (0.5, 2.0, 3.0)])
    with torch.no_grad():
        for parameter in metric.masks.parameters():
            parameter += 0.01 * torch.randn_like(parameter)
    end = metric.folded()
    metric.interpolate(start, share)
    wanted = {name: (1 - share) * start[name] + share * end[name] for name in start}
    torch.testing.assert_close(metric.folded(), wanted)
    assert metric.spread.tolist() == [0.5, 2.0, 3.0]


def test_masks_of_other_taps_are_no_start():
    with pytest.raises(ValueError, match=r"expected masks for taps with \(3,\) channels"):
        build_metric("e-mae", masks="masks_e_vgg_embedded")
