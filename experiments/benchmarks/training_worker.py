"""One whole training in a process of its own, watched for training.py: BasicSR's or ours.

    python experiments/benchmarks/training_worker.py basicsr options.yml report.json vgg16.pth

Both run as their users start them; clocks stand around the step, the wait for a batch, and the
validation. The report is a JSON file.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace
from typing import Any

BEGAN = time.perf_counter()


class Reached(BaseException):
    """The validation that was waited for."""


class Watch:
    """What happened when, in seconds since this process began.

    Args:
        warm_up: steps that do not count.
        until: PSNR of a validation that ends the training; None to go on to its last step.
    """

    def __init__(self, warm_up: int, until: float | None):
        self.warm_up, self.until = warm_up, until
        self.steps, self.first_step, self.waited = 0, 0.0, 0.0
        self.counted_from = self.waited_before = self.processor_before = 0.0
        self.validations: list[tuple[int, float, float]] = []

    def around_step(self, step: Callable) -> Callable:
        """Count the steps; the clock of what counts starts with the first one after the warm-up."""

        @wraps(step)
        def run(*arguments: Any, **named: Any) -> Any:
            if self.steps == 0:
                self.first_step = _now()
            if self.steps == self.warm_up:
                self.counted_from, self.waited_before = _now(), self.waited
                self.processor_before = time.process_time()
            self.steps += 1
            return step(*arguments, **named)

        return run

    def around_wait(self, following: Callable) -> Callable:
        """Add up how long batches are waited for."""

        @wraps(following)
        def run(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return following(*arguments, **named)
            finally:
                self.waited += time.perf_counter() - began

        return run

    def validated(self, psnr: float) -> None:
        """Note a validation, and end the training where it is the one waited for."""
        self.validations.append((self.steps, round(_now(), 3), round(float(psnr), 4)))
        if self.until is not None and psnr >= self.until:
            raise Reached

    def report(self) -> dict[str, Any]:
        """What was seen, once the training has ended."""
        counted = max(1, self.steps - self.warm_up)  # 0 where the first validation was the one
        seconds = _now() - self.counted_from
        return {
            "steps": self.steps,
            "steps_per_second": counted / seconds,
            "cpu_s_per_step": (time.process_time() - self.processor_before) / counted,
            "data_wait": (self.waited - self.waited_before) / seconds,
            "first_step_s": self.first_step,
            "whole_s": _now(),
            "validations": self.validations,
        }


def _now() -> float:
    return time.perf_counter() - BEGAN


class TimedLoader:
    """A loader whose batches are waited for by the clock."""

    def __init__(self, loader: Iterable, watch: Watch):
        self.loader, self.watch = loader, watch

    def __iter__(self) -> Iterator:
        batches = iter(self.loader)
        following = self.watch.around_wait(lambda: next(batches, None))
        while (batch := following()) is not None:
            yield batch


def train_ours(options: Path, watch: Watch) -> None:
    """Run `restoration train`."""
    from restoration.cli import main as command
    from restoration.train import run
    from restoration.train.loop import Trainer

    load, validate = run._loader, run.validate

    def watched(*arguments: Any) -> Any:
        found = validate(*arguments)
        watch.validated(fmean(row.values["psnr"] for row in found.rows))
        return found

    vars(run).update(_loader=lambda *own: TimedLoader(load(*own), watch), validate=watched)
    setattr(Trainer, "step", watch.around_step(Trainer.step))  # noqa: B010
    if command(["train", "-opt", str(options)]):
        raise SystemExit("the training failed")


def train_basicsr(options: Path, vgg: Path, watch: Watch, upstream: Path | None) -> None:
    """Run BasicSR's `train_pipeline` with the networks and data sets of our plug-in.

    Args:
        options: its option file.
        vgg: weights of VGG-16.
        watch: what is told.
        upstream: a checkout of swz30/Restormer, whose network gets a name there too.
    """
    import restoration.basicsr_plugin as plugin
    from restoration.common.basicsr import import_basicsr

    import_basicsr("archs.vgg_arch").vgg = SimpleNamespace(vgg16=lambda pretrained: _vgg16(vgg))
    if upstream is not None:
        registry = import_basicsr("utils.registry").ARCH_REGISTRY
        registry.register(_upstream_network(upstream))
    model: Any = plugin.DenoisingModel
    validate = model.nondist_validation

    def watched(self: Any, *arguments: Any) -> None:
        validate(self, *arguments)
        watch.validated(self.metric_results["psnr"])

    model.nondist_validation = watched
    model.optimize_parameters = watch.around_step(model.optimize_parameters)
    prefetcher: Any = import_basicsr("data.prefetch_dataloader").CPUPrefetcher
    prefetcher.next = watch.around_wait(prefetcher.next)
    sys.argv = ["train.py", "-opt", str(options)]
    import_basicsr("train").train_pipeline(str(options.parent))


def _upstream_network(folder: Path) -> Callable[..., Any]:
    """What builds the authors' network, by the name that option files use."""
    from network_arms import build_upstream
    from training_options import UPSTREAM_NETWORK

    def build(**settings: Any) -> Any:
        return build_upstream(folder, settings)

    build.__name__ = UPSTREAM_NETWORK
    return build


def _vgg16(weights: Path) -> SimpleNamespace:
    """VGG-16's convolutions with the weights of a file; BasicSR would download them."""
    from torchvision.models import vgg

    from losses.weights import load_state_dict

    features = vgg.make_layers(vgg.cfgs["D"])
    state = load_state_dict(weights)
    features.load_state_dict({k.removeprefix("features."): v for k, v in state.items()}, False)
    return SimpleNamespace(features=features)


def main() -> None:
    """Train, and write what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("side", choices=["basicsr", "ours"])
    parser.add_argument("options", type=Path)
    parser.add_argument("report", type=Path)
    parser.add_argument("vgg", type=Path, help="weights of VGG-16, for BasicSR's loss")
    parser.add_argument("--warm-up", type=int, default=5)
    parser.add_argument("--until", type=float)
    parser.add_argument("--upstream", type=Path)
    given = parser.parse_args()
    watch = Watch(given.warm_up, given.until)
    try:
        if given.side == "ours":
            train_ours(given.options, watch)
        else:
            train_basicsr(given.options, given.vgg, watch, given.upstream)
    except Reached:
        pass
    given.report.write_text(json.dumps(watch.report()), encoding="utf-8")


if __name__ == "__main__":
    main()
