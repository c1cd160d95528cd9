"""A whole training of masks in its folder: ratings, checks, log, states, masks and their scores."""

import logging
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from restoration.common import distributed, durable
from restoration.common.bf16 import SLOW, fast_in_bf16
from restoration.common.folders import OPTIONS_FILE, write_json
from restoration.common.log import log_file
from restoration.common.progress import Progress, no_progress
from restoration.common.signals import signals_interrupt
from restoration.masks import trainable
from restoration.masks.batches import MaskSettings, check_table
from restoration.masks.data import describe, open_table
from restoration.masks.monitor import MaskMonitor
from restoration.masks.options import MaskOptions
from restoration.masks.outcome import (
    few_references,
    measure,
    plain_and_enhanced,
    trained_weights,
)
from restoration.masks.state import latest_state
from restoration.masks.taps import NUM_UPDATES, settle_taps
from restoration.masks.trainable import EnhancedMetric
from restoration.masks.trainer import MaskTrainer, train_masks
from restoration.masks.visibility import with_visibility
from restoration.opinion.table import OpinionTable, check_apart
from restoration.options.given import resolve
from restoration.options.load import load_options
from restoration.options.run_folder import (
    TENSORBOARD_SIGNS,
    open_folder,
    own_folder,
    write_run_files,
)

logger = logging.getLogger("restoration")
MASKS, SCORES, STATES = "masks.safetensors", "scores.json", "training_states"
MASK_PREFIX = "mask_finder_"  # of the weights that are not the scaler network's


def train(
    options: Any,
    *,
    folder: str | Path | None = None,
    tb_folder: str | Path | None = None,
    device: str | torch.device = "cpu",
    resume: bool = False,
    test: OpinionTable | None = None,
    progress: Progress = no_progress,
    **overrides: Any,
) -> Path:
    """Train the masks of a metric as options describe, in a folder that explains the run.

    Args:
        options: path of an option file, the mapping that such a file holds, or `MaskOptions`.
        folder: of the run; default: `experiments/<name>`. One that holds an earlier run is
            archived under another name, unless that run is resumed.
        tb_folder: of TensorBoard's events; default: `tb_logger/<name>`.
        device: where the masks are trained and measured; ratings are made on the CPU.
        resume: continue from the newest training state in the folder, if there is one.
        test: ratings that the masks will be measured on: none of their references is trained on.
        progress: shows how far the work is.
        **overrides: top-level keys of the options, as in `train={"total_iter": 1000}`.

    Returns:
        The file of the masks.

    Raises:
        FileNotFoundError: images, weights or the option file are missing.
        ValueError: what is wrong in the options, or what does not fit.
        FloatingPointError: the loss is not finite.
    """
    resolved = resolve(options, overrides, MaskOptions)
    folder = Path(folder or Path("experiments") / resolved.name)
    tb_folder = Path(tb_folder or Path("tb_logger") / resolved.name)
    place = distributed.choose_device(str(device))
    state = latest_state(folder / STATES) if resume else None
    if state is not None:
        check_unchanged(resolved, folder)
    torch.set_num_threads(resolved.train.threads)
    torch.manual_seed(resolved.manual_seed)
    metric = build_metric(resolved).to(place)
    start = metric.folded()
    training, held_out = _split(resolved, test, progress)
    with own_folder(folder, keep=state is not None), signals_interrupt():
        if state is None and tb_folder.is_dir():
            open_folder(tb_folder, signs=TENSORBOARD_SIGNS)
        write_run_files(resolved, folder, place)
        with log_file(folder / "train.log"):
            logger.info("training on %s", describe(training))
            if resolved.metric.precision == "bf16" and not fast_in_bf16(place):
                logger.warning(SLOW, "metric.precision: bf16")
            if held_out is not None:
                logger.info("held out: %s", describe(held_out))
            if state is not None:
                logger.info("going on from %s", state)
            events = tb_folder if resolved.logger.use_tb_logger else None
            _fit(metric, training, resolved, folder, events, progress)
            if resolved.train.interpolation < 1:
                metric.interpolate(start, resolved.train.interpolation)
            decay = resolved.train.tap_decay
            if decay is not None:
                with progress("settling taps", NUM_UPDATES) as advance:
                    settle_taps(metric, training, settings_of(resolved), decay, advance)
            return _write_masks(metric, training, held_out, resolved, folder, progress)


def settings_of(options: MaskOptions) -> MaskSettings:
    """Arguments of the training."""
    given = options.train.model_dump(exclude={"total_iter", "threads", "interpolation"})
    return MaskSettings(num_steps=options.train.total_iter, seed=options.manual_seed, **given)


def build_metric(options: MaskOptions) -> EnhancedMetric:
    """The metric with masks that are not trained yet, or with those to go on from."""
    given = options.metric
    weights = None if given.backbone_weights is None else str(given.backbone_weights)
    return trainable.build_metric(
        given.type,
        given.backbone,
        weights,
        given.taps,
        given.order,
        given.network,
        given.precision,
        given.masks,
    )


def check_unchanged(options: MaskOptions, folder: Path) -> None:
    """Raise ValueError if a run would continue with other options than it began with."""
    before = _comparable(load_options(folder / OPTIONS_FILE, model=MaskOptions))
    now = _comparable(options)
    for section in ("manual_seed", "metric", "data", "train"):
        if before[section] != now[section]:
            raise ValueError(
                f"{folder} began with another `{section}`: start anew without --auto_resume, or "
                f"see {folder / OPTIONS_FILE}"
            )


def _comparable(options: MaskOptions) -> dict[str, Any]:
    return options.model_dump(exclude={"data": {"table"}, "train": {"interpolation"}})


def _split(
    options: MaskOptions, test: OpinionTable | None, progress: Progress
) -> tuple[OpinionTable, OpinionTable | None]:
    """Open the ratings and hold some out; nothing that stands in `test` is trained on."""
    table = open_table(options.data, options.manual_seed, progress)
    if options.train.place == "cvvdp":
        kept = options.data.table and options.data.table.with_suffix(".cvvdp.npz")
        with progress("predicting visibility", len(table.references)) as advance:
            table = with_visibility(table, kept, advance)
    every = options.data.held_out_every
    training, held_out = table.split(every) if every else (table, None)
    if test is not None:
        check_apart(training, test)
    check_table(training, settings_of(options))
    return training, held_out


def _fit(
    metric: EnhancedMetric,
    table: OpinionTable,
    options: MaskOptions,
    folder: Path,
    tb_folder: Path | None,
    progress: Progress,
) -> None:
    """Take all steps that are left, with log, curves, and a state to continue from."""
    settings, state = settings_of(options), latest_state(folder / STATES)
    start = 0 if state is None else int(state.stem)
    monitor = MaskMonitor(folder, tb_folder, start, settings, options.logger.print_freq)
    try:
        with monitor, progress("training", settings.num_steps, start) as advance:

            def on_step(done: int, terms: dict[str, torch.Tensor], norm: torch.Tensor) -> None:
                advance()
                monitor.step(done, terms, norm)

            train_masks(
                MaskTrainer(metric, settings.place).to(next(metric.parameters()).device),
                table,
                settings,
                folder / STATES,
                save_freq=options.logger.save_checkpoint_freq,
                on_step=on_step,
            )
    except KeyboardInterrupt:
        kept = latest_state(folder / STATES)
        if kept is not None:
            logger.info("interrupted: state saved as %s; continue with --auto_resume", kept)
        raise


def _write_masks(
    metric: EnhancedMetric,
    training: OpinionTable,
    held_out: OpinionTable | None,
    options: MaskOptions,
    folder: Path,
    progress: Progress,
) -> Path:
    """Write masks with their scaler network, and how well they agree with held-out ratings."""
    path = folder / MASKS
    few = few_references(training)
    with progress("fitting the scaler network", len(few.references)) as advance:
        weights = trained_weights(metric, few, advance)
    if options.logger.half_precision:
        weights |= {n: w.half() for n, w in weights.items() if n.startswith(MASK_PREFIX)}
    with durable.replacing(path) as part:
        part.write_bytes(save(weights))  # save_file hides the file from other users
    content: dict[str, Any] = {"metric": options.metric.type, "training": describe(training)}
    if held_out is not None:
        with progress("measuring", 2 * len(held_out.references)) as advance:
            distances_by_name = plain_and_enhanced(metric, held_out, advance)
        scores = measure(distances_by_name, held_out)
        content |= {"held_out": describe(held_out), "spearman": scores}
        plain, enhanced = (scores[name]["all"] for name in ("plain", "enhanced"))
        text = [f"{v:.4f}" if v is not None else "undefined" for v in (plain, enhanced)]
        logger.info("Spearman on held-out photographs: plain %s, enhanced %s", *text)
    write_json(folder / SCORES, content)
    logger.info("written: %s, %s", path, folder / SCORES)
    return path
