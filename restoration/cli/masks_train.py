"""`restoration masks train -opt FILE`: options, opinion, folder, progress; files of the masks."""

import argparse
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restoration.cli import session

if TYPE_CHECKING:
    import torch
    from rich.console import Console

    from restoration.masks.batches import MaskSettings
    from restoration.masks.options import MaskData, MaskOptions
    from restoration.masks.trainable import EnhancedMetric
    from restoration.opinion.table import OpinionTable

logger = logging.getLogger("restoration")
MASKS, SCORES, STATES = "masks.safetensors", "scores.json", "training_states"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    session.add_option_file(parser)
    parser.add_argument(
        "--auto_resume", action="store_true", help="go on from the newest state, if there is one"
    )


def run(arguments: argparse.Namespace) -> None:
    """Run the command."""
    from restoration.masks.options import MaskOptions
    from restoration.options.load import load_options

    options = load_options(arguments.opt, arguments.force_yml, MaskOptions)
    folder = Path("experiments") / options.name
    train(options, folder, Path("tb_logger") / options.name, arguments.auto_resume)


def open_table(data: "MaskData", seed: int, console: "Console") -> "OpinionTable":
    """Draw and score pseudo-opinion, or read a set of people's."""
    if data.type != "pseudo":
        from restoration.opinion.open import table_of_people
        from restoration.opinion.people import open_opinions

        score_range = None if data.score_range is None else tuple(data.score_range)
        people = open_opinions(f"{data.type}:{data.dataroots[0]}", data.direction, score_range)
        chosen = (data.num_references, data.distortions, data.levels, seed)
        return table_of_people(people, *chosen)
    from restoration.opinion.open import draw_opinions, read_photographs

    photographs = read_photographs(data.dataroots, data.size)
    count = len(photographs) if data.num_references is None else data.num_references
    with session.progress_bar(console, "distorting and scoring", 2 * count) as advance:
        return draw_opinions(
            photographs,
            count,
            data.num_versions,
            data.size,
            seed,
            data.distortions,
            data.levels,
            data.teachers,
            data.table,
            advance,
        )


def settings_of(options: "MaskOptions") -> "MaskSettings":
    """Arguments of the training."""
    from restoration.masks.batches import MaskSettings

    given = options.train.model_dump(exclude={"total_iter", "threads"})
    return MaskSettings(num_steps=options.train.total_iter, seed=options.manual_seed, **given)


def build_metric(options: "MaskOptions") -> "EnhancedMetric":
    """The metric with masks that are not trained yet."""
    from restoration.masks.trainable import build_metric

    given = options.metric
    weights = None if given.backbone_weights is None else str(given.backbone_weights)
    return build_metric(given.type, given.backbone, weights, given.taps, given.order)


def check_unchanged(options: "MaskOptions", folder: Path) -> None:
    """Raise ValueError if a run would go on with other options than it began with."""
    from restoration.options.load import load_options

    before = load_options(folder / "options.yml", model=type(options))
    for section in ("manual_seed", "metric", "data", "train"):
        if _comparable(before)[section] != _comparable(options)[section]:
            raise ValueError(
                f"{folder} began with another `{section}`: start anew without --auto_resume, or "
                f"see {folder / 'options.yml'}"
            )


def _comparable(options: "MaskOptions") -> dict[str, Any]:
    return options.model_dump(exclude={"data": {"table"}})


def train(
    options: "MaskOptions",
    folder: Path,
    tb_folder: Path,
    auto_resume: bool,
    test: "OpinionTable | None" = None,
) -> Path:
    """Train into a folder; returns the file of the masks.

    Nothing is trained on that stands in the table `test`, which the masks will be measured on.
    """
    import torch

    from restoration.masks.batches import check_table
    from restoration.masks.state import latest_state
    from restoration.opinion.table import check_apart

    state = latest_state(folder / STATES) if auto_resume else None
    if state is not None:
        check_unchanged(options, folder)
    torch.set_num_threads(options.train.threads)
    torch.manual_seed(options.manual_seed)
    metric = build_metric(options)
    console = session.make_console()
    table = open_table(options.data, options.manual_seed, console)
    every = options.data.held_out_every
    training, held_out = table.split(every) if every else (table, None)
    if test is not None:
        check_apart(training, test)
    check_table(training, settings_of(options))
    session.open_folder(folder, keep=state is not None)
    if state is None and tb_folder.is_dir():
        session.open_folder(tb_folder)
    session.write_run_files(options, folder, torch.device("cpu"))
    with session.logging_to(console, folder / "train.log"):
        logger.info("training on %s", describe(training))
        if held_out is not None:
            logger.info("held out: %s", describe(held_out))
        if state is not None:
            logger.info("going on from %s", state)
        tb = tb_folder if options.logger.use_tb_logger else None
        fit(metric, training, options, folder, tb, console)
        return write_masks(metric, training, held_out, options, folder, console)


def describe(table: "OpinionTable") -> str:
    """Size of a table in words."""
    photographs = len(set(table.photographs.tolist()))
    return f"{len(table)} pairs, {len(table.references)} references of {photographs} photographs"


def fit(
    metric: "EnhancedMetric",
    table: "OpinionTable",
    options: "MaskOptions",
    folder: Path,
    tb_folder: Path | None,
    console: "Console",
) -> None:
    """Take all steps that are left, with bar, log, curves, and a state to go on from."""
    from restoration.masks.state import latest_state
    from restoration.masks.trainer import MaskTrainer, train_masks

    settings, state = settings_of(options), latest_state(folder / STATES)
    done = 0 if state is None else int(state.stem)
    total = settings.num_steps
    report = Report(folder, tb_folder, done, settings, options.logger.print_freq)
    try:
        with session.progress_bar(console, "training", total, done) as advance:

            def on_step(step: int, terms: "dict[str, torch.Tensor]", norm: "torch.Tensor") -> None:
                advance()
                report.add(step, terms, norm)

            train_masks(
                MaskTrainer(metric),
                table,
                settings,
                folder / STATES,
                save_freq=options.logger.save_checkpoint_freq,
                on_step=on_step,
            )
    except KeyboardInterrupt:
        kept = latest_state(folder / STATES)
        if kept is not None:
            logger.info("interrupted: state saved as %s; go on with --auto_resume", kept)
        raise
    finally:
        report.close()


class Report:
    """Log lines, curves.csv and TensorBoard of one training.

    Args:
        folder: of the run.
        tb_folder: of its events, or None.
        start: steps that are done.
        settings: of the training.
        print_freq: steps between two lines.
    """

    def __init__(
        self,
        folder: Path,
        tb_folder: Path | None,
        start: int,
        settings: "MaskSettings",
        print_freq: int,
    ):
        from restoration.train.monitor import Curves, RunningMeans, SummaryWriter

        self.means = RunningMeans()
        self.curves = Curves(folder / "curves.csv", start, ("regression", "ranking", "place"))
        self.tb = SummaryWriter(tb_folder, purge_step=start + 1) if tb_folder else None
        self.start, self.settings, self.print_freq = start, settings, print_freq
        self.began = time.monotonic()

    def add(self, step: int, terms: "dict[str, torch.Tensor]", norm: "torch.Tensor") -> None:
        """Report one step."""
        from restoration.masks.trainer import learning_rate
        from restoration.train.monitor import clock, describe, record

        total = self.settings.num_steps
        self.means.add({"total": sum(terms.values()), **terms, "grad_norm": norm})
        if step % self.print_freq and step != total:
            return
        means = self.means.read()
        rate = (step - self.start) / (time.monotonic() - self.began)
        shown = describe({name: value for name, value in means.items() if name != "grad_norm"})
        left = clock((total - step) / rate)
        logger.info("[%d/%d] %s  %.2f it/s  eta %s", step, total, shown, rate, left)
        row = {"lr": learning_rate(self.settings, step - 1), **means}
        record(self.curves, self.tb, step, row)

    def close(self) -> None:
        """Close the files."""
        if self.tb is not None:
            self.tb.close()


def write_masks(
    metric: "EnhancedMetric",
    training: "OpinionTable",
    held_out: "OpinionTable | None",
    options: "MaskOptions",
    folder: Path,
    console: "Console",
) -> Path:
    """Write masks with their scaler network, and how far they agree with held-out opinion."""
    from safetensors.torch import save_file

    from restoration.common.folders import write_json
    from restoration.masks.outcome import finish, measure, plain_and_enhanced

    path = folder / MASKS
    save_file(finish(metric, training), path)
    content: dict[str, Any] = {"metric": options.metric.type, "training": describe(training)}
    if held_out is not None:
        with session.progress_bar(console, "measuring", 2 * len(held_out.references)) as advance:
            found = plain_and_enhanced(metric, held_out, advance)
        scores = measure(found, held_out)
        content |= {"held_out": describe(held_out), "spearman": scores}
        plain, enhanced = (scores[name]["all"] for name in ("plain", "enhanced"))
        text = [f"{v:.4f}" if v is not None else "undefined" for v in (plain, enhanced)]
        logger.info("Spearman on held-out photographs: plain %s, enhanced %s", *text)
    write_json(folder / SCORES, content)
    logger.info("written: %s, %s", path, folder / SCORES)
    return path
