"""Option files of BasicSR's family: what is taken as it is, and what is said of the rest."""

import pytest
from tiny import TINY

from restoration.cli import main
from restoration.common.errors import ListedError
from restoration.options.load import ignored_keys, load_options, read_mapping, validate
from restoration.options.unsupported import SUBJECTS, unsupported

RIDNET = """
name: ridnet_sidd
model_type: SRModel
scale: 1
num_gpu: auto
manual_seed: 0
datasets:
  train:
    name: SIDD
    type: PairedImageDataset
    dataroot_gt: gt
    dataroot_lq: noisy
    gt_size: 64
    use_hflip: true
    use_rot: true
    io_backend: {type: disk}
    num_worker_per_gpu: 6
    batch_size_per_gpu: 16
    dataset_enlarge_ratio: 1
    prefetch_mode: ~
  val:
    name: SIDD
    type: PairedImageDataset
    dataroot_gt: gt
    dataroot_lq: noisy
    io_backend: {type: disk}
network_g: {type: RIDNet, in_channels: 3, mid_channels: 16, out_channels: 3, num_block: 1}
path: {pretrain_network_g: ~, strict_load_g: true, resume_state: ~}
train:
  ema_decay: 0.999
  optim_g: {type: Adam, lr: !!float 1e-4, weight_decay: 0, betas: [0.9, 0.99]}
  scheduler: {type: TrueCosineAnnealingLR, T_max: 400000, eta_min: !!float 1e-7}
  total_iter: 400000
  warmup_iter: -1
  pixel_opt: {type: L1Loss, loss_weight: 1.0, reduction: mean}
val:
  val_freq: !!float 5e3
  save_img: false
  suffix: ~
  grids: false
  pbar: false
  metrics:
    psnr: {type: calculate_psnr, crop_border: 0, test_y_channel: false}
logger:
  print_freq: 100
  save_checkpoint_freq: !!float 5e3
  use_tb_logger: true
  wandb: {project: ~, resume_id: ~}
dist_params: {backend: nccl, port: 29500}
"""
SWINIR = {
    "name": "swinir_colour_25",
    "model_type": "SwinIRModel",
    "scale": 1,
    "datasets": {"train": {"dataroot_gt": "clean"}},
    "network_g": {"type": "SwinIR", "upscale": 1, "upsampler": "", "window_size": 8},
    "train": {"total_iter": 5, "pixel_opt": {"type": "CharbonnierLoss"}},
    "val": None,
    "logger": None,
    "path": None,
    "dist_params": None,
}
KAIR = """
{
  "task": "drunet_grey"  // the folder's name
  , "gpu_ids": [0]
  , "n_channels": 1
  , "scale": 1
  , "path": {"root": "denoising", "pretrained_netG": null}
  , "datasets": {
      "train": {"dataroot_H": "http://clean", "H_size": 128, "sigma": [0, 50] // blind
    }
    , "test": {"dataroot_H": "set12", "sigma_test": 25}
  }
  , "netG": {"net_type": "drunet", "nc": [64, 128]}
  , "train": {"G_lossfn_type": "l1", "G_optimizer_lr": 1e-4, "checkpoint_test": 5000}
}
"""


def written(folder, text, name):
    path = folder / name
    path.write_text(text)
    return path


# ------------------------------------------------------------------ taken as it is


def test_a_denoising_file_of_srmodel(tmp_path):
    options = load_options(written(tmp_path, RIDNET, "ridnet.yml"))
    assert options.train.scheduler.T_max == 400_000
    assert {"val.suffix", "val.grids", "val.pbar"} <= set(ignored_keys(options))


def test_a_section_without_keys_is_one_that_is_absent():
    options = validate(SWINIR)
    assert options.val == validate({k: v for k, v in SWINIR.items() if k != "val"}).val
    assert options.logger.print_freq == 100 and options.model_type == "SwinIRModel"


def test_json_with_comments(tmp_path):
    text = '{"name": "x", // a comment with "quotes"\n "train": {"url": "http://a//b"}}'
    assert read_mapping(written(tmp_path, text, "x.json")) == {
        "name": "x",
        "train": {"url": "http://a//b"},
    }
    assert read_mapping(written(tmp_path, "{name: x, a: 1e-4}", "x.yml")) == {
        "name": "x",
        "a": 1e-4,
    }


# ------------------------------------------------------------------ said, a line each

SR = {"scale": 4, "network_g": {"type": "EDSR", "upscale": 4}}
VIDEO = {"datasets": {"train": {"type": "REDSDataset", "num_frame": 5}}}
GAN = {"network_d": {"type": "VGG"}, "train": {"gan_opt": {"type": "GANLoss"}, "optim_d": {}}}


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        (SR, "super-resolution: `scale` 4 is not trained here"),
        ({"network_g": {"upscale": 2}}, "super-resolution: `network_g.upscale` 2"),
        (VIDEO, "video: `datasets.train.type` REDSDataset"),
        ({"model_type": "VideoRecurrentModel"}, "video: `model_type` VideoRecurrentModel"),
        (GAN, "discriminator is trained here: `network_d`, `train.gan_opt`, `train.optim_d`"),
        ({"model_type": "StyleGAN2Model"}, "image synthesis: `model_type` StyleGAN2Model"),
        ({"datasets": {"val": {"dataroot_lqL": "left"}}}, "two views: `datasets.val.dataroot_lqL`"),
        ({"datasets": {"a": {"type": "SingleImageDataset"}}}, "without a clean partner: .*denoise"),
        ({"datasets": {"train": {"kernel_list": ["iso"]}}}, "Real-ESRGAN: .*`degradation`"),
        ({"datasets": {"train": {"color": "y"}}}, "luma alone: `datasets.train.color` y"),
        ({"datasets": {"train": {"meta_info_file": "a.txt"}}}, "lists of images: .*meta_info_file"),
    ],
)
def test_one_line_for_a_subject(asked, line):
    with pytest.raises(ListedError, match=line) as caught:
        validate({**SWINIR, **asked})
    assert str(caught.value).splitlines()[0] == "asks for what is not done here:"
    assert len(unsupported(asked)) == 1 == str(caught.value).count("\n")


def test_every_subject_has_its_line():
    asked = {**SR, **VIDEO, **GAN, "model_type": "HiFaceGANModel"}
    assert len(unsupported(asked)) == 4 < len(SUBJECTS)
    assert unsupported({**SWINIR, "datasets": None}) == []


def test_the_command_line_prints_a_line_for_each(tmp_path, capsys):
    path = written(tmp_path, RIDNET.replace("scale: 1", "scale: 4\nnetwork_d: {}"), "sr.yml")
    assert main(["train", "-opt", str(path)]) == 2
    first, *rest = capsys.readouterr().err.splitlines()
    assert first == f"restoration: error: {path}: asks for what is not done here:"
    assert [line.split(":")[0] for line in rest] == ["  super-resolution", "  adversarial training"]


def test_a_mistake_in_a_file_without_subjects_is_one_line_still(tmp_path, capsys):
    path = written(tmp_path, RIDNET.replace("use_rot", "use_rott"), "typo.yml")
    assert main(["train", "-opt", str(path)]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert "unknown option `datasets.train.use_rott`; did you mean `use_rot`?" in said


# ------------------------------------------------------------------ KAIR


def test_kair_is_told_how_its_keys_map(tmp_path):
    path = written(tmp_path, KAIR, "drunet.json")
    with pytest.raises(ListedError, match="got one of KAIR; its keys map so:") as caught:
        load_options(path)
    said = [" ".join(line.split()) for line in str(caught.value).splitlines()]
    assert said[0].startswith(f"{path.resolve()}: ")
    assert said[1:-4] == [
        "task -> name: drunet_grey",
        "n_channels -> datasets.*.in_ch: 1",
        "path.root -> path.experiments_root: denoising",
        "datasets.train.dataroot_H -> datasets.train.dataroot_gt: http://clean",
        "datasets.train.H_size -> datasets.train.gt_size: 128",
        "datasets.train.sigma -> datasets.train.sigma_range: [0, 50]",
        "datasets.test.dataroot_H -> datasets.test.dataroot_gt: set12",
        "datasets.test.sigma_test -> datasets.test.sigma_test: 25",
        "netG.net_type -> network_g.type: DRUNet",
        "train.G_lossfn_type -> train.losses.0.type: MAE",
        "train.G_optimizer_lr -> train.optim_g.lr: 0.0001",
        "train.checkpoint_test -> val.val_freq: 5000",
    ]
    assert said[-1] == "without a counterpart: scale"


def test_kair_names_what_is_not_done_here(tmp_path):
    text = KAIR.replace('"scale": 1', '"scale": 4').replace("netG", "netD", 0)
    with pytest.raises(ListedError, match="super-resolution: `scale` 4"):
        load_options(written(tmp_path, text, "sr.json"))


@pytest.mark.parametrize("sets", [{"train": {"dataroot_gt": "clean"}}])
def test_no_subject_in_our_own(sets):
    assert unsupported({"name": "x", "network_g": TINY, "datasets": sets}) == []
