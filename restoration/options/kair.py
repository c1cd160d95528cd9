"""Option files of KAIR (github.com/cszn/KAIR): recognised, and explained in this dialect's keys."""

from collections.abc import Iterator, Mapping
from typing import Any

from restoration.common.errors import ListedError
from restoration.options.unsupported import unsupported

SETS = ("train", "test")
# keys of KAIR -> keys of this dialect; `*` is a name of SETS
KEYS = {
    "task": "name",
    "n_channels": "datasets.*.in_ch",
    "path.root": "path.experiments_root",
    "path.pretrained_netG": "path.pretrain_network_g",
    "datasets.*.name": "datasets.*.name",
    "datasets.*.dataroot_H": "datasets.*.dataroot_gt",
    "datasets.*.dataroot_L": "datasets.*.dataroot_lq",
    "datasets.train.H_size": "datasets.train.gt_size",
    "datasets.train.sigma": "datasets.train.sigma_range",
    "datasets.test.sigma_test": "datasets.test.sigma_test",
    "datasets.train.dataloader_num_workers": "datasets.train.num_worker_per_gpu",
    "datasets.train.dataloader_batch_size": "datasets.train.batch_size_per_gpu",
    "netG.net_type": "network_g.type",
    "train.G_lossfn_type": "train.losses.0.type",
    "train.G_lossfn_weight": "train.losses.0.weight",
    "train.E_decay": "train.ema_decay",
    "train.G_optimizer_type": "train.optim_g.type",
    "train.G_optimizer_lr": "train.optim_g.lr",
    "train.G_optimizer_wd": "train.optim_g.weight_decay",
    "train.G_scheduler_type": "train.scheduler.type",
    "train.G_scheduler_milestones": "train.scheduler.milestones",
    "train.G_scheduler_gamma": "train.scheduler.gamma",
    "train.G_param_strict": "path.strict_load_g",
    "train.checkpoint_test": "val.val_freq",
    "train.checkpoint_save": "logger.save_checkpoint_freq",
    "train.checkpoint_print": "logger.print_freq",
}
# values that have another name here
VALUES = {
    "netG.net_type": {"dncnn": "DnCNN", "drunet": "DRUNet", "swinir": "SwinIR"},
    "train.G_lossfn_type": {"l1": "MAE", "l2": "MSE", "charbonnier": "Charbonnier", "ssim": "SSIM"},
    "train.G_optimizer_type": {"adam": "Adam"},
}
ADVICE = (
    "netG's arguments: those of the network of that name in spandrel, or in BasicSR",
    "gpu_ids, dist: torchrun starts a process per GPU; batch_size_per_gpu is of each",
    "train.total_iter: to be given; KAIR's trainings have no end",
)
EXPLAINED = ("netG.", "gpu_ids", "dist")


def is_kair(content: Any) -> bool:
    """Whether a mapping is an option file of KAIR."""
    return isinstance(content, Mapping) and "netG" in content and "datasets" in content


def explain(content: Mapping[str, Any]) -> ListedError:
    """Say in an error how the keys of a file of KAIR are called here, each with its value."""
    given = dict(_flat(content))
    mapped = [(key, _target(key)) for key in given if _target(key)]
    width = max((len(key) for key, _ in mapped), default=0)
    lines = [f"{key:<{width}} -> {target}: {_value(key, given[key])}" for key, target in mapped]
    rest = [key for key in given if not _target(key) and not key.startswith(EXPLAINED)]
    return ListedError(
        "expected an option file in BasicSR's dialect, got one of KAIR; its keys map so:",
        [*lines, *ADVICE, f"without a counterpart: {', '.join(rest)}", *_not_done(content)],
    )


def _not_done(content: Mapping[str, Any]) -> list[str]:
    """What a file of KAIR asks for and is not done here, a line for each subject."""
    network = content["netG"] if isinstance(content["netG"], Mapping) else {}
    scale = content.get("scale") or network.get("upscale") or 1
    asked = {"scale": scale, "network_d": content.get("netD"), "datasets": content["datasets"]}
    return unsupported(asked)


def _flat(content: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Keys with those that they are in, and values, but for those that are null."""
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        elif value is not None:
            yield f"{above}{key}", value


def _target(key: str) -> str | None:
    """What a key of KAIR is called here, or None."""
    if key in KEYS:
        return KEYS[key]
    for name in SETS:
        general = key.replace(f"datasets.{name}.", "datasets.*.")
        if general != key and general in KEYS:
            return KEYS[general].replace("*", name)
    return None


def _value(key: str, value: Any) -> Any:
    return VALUES.get(key, {}).get(value, value) if isinstance(value, str) else value
