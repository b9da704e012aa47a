"""The loop of a language model that learns from stored texts. Whoever reads `OfflineRun.iterate` sees it whole.

Like every run it can be killed at any moment: what a checkpoint does not hold follows from the seed, the data and the
model that learning began with. With several processes each takes its share of every batch, and the first one writes.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from heeler.core.errors import RunError
from heeler.core.named import under
from heeler.core.rundir import Checkpoint, RunDirectory
from heeler.core.seeding import stream
from heeler.loop.going_on import config_text, newest_sound, refuse_changed_config, refuse_changed_data, sweep
from heeler.loop.kept_evaluation import EVALUATION_NAME
from heeler.loop.offline.config import OfflineRunConfig, offline_config_from_dict
from heeler.loop.offline.evaluation import HeldOut, save_held_out, saved_held_out
from heeler.loop.offline.lessons import Lessons, Metrics, refuse_too_few
from heeler.loop.offline.material import Material, Unit, read_material
from heeler.loop.run_model import MODEL, template_in
from heeler.loop.tensors import to_arrays, to_tensors
from heeler.models.data_parallel import own_device, process
from heeler.models.language.loading import load_language_model
from heeler.models.language.model import LanguageModel
from heeler.models.language.saving import fingerprint

_MAY_CHANGE = ("keep_checkpoints",)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sources:
    """What a run is made of and does not make itself: looked at before anything is written."""

    model: LanguageModel
    material: Material


def sources(config: OfflineRunConfig) -> Sources:
    """Read model and texts.

    Raises:
        HeelerError: what cannot be read, and why.
    """
    torch.set_num_threads(config.torch_threads)
    with torch.random.fork_rng(devices=[]):
        # An adapter begins by chance.
        torch.manual_seed(config.seed)
        model = load_language_model(
            config.model.path,
            dtype=config.model.dtype,
            device=own_device(config.model.device),
            lora=config.model.lora,
            chat_template=template_in(config.model.chat_template) if config.model.chat_template else None,
            eos_token=config.model.eos_token or None,
        )
    material = read_material(config, model)
    refuse_too_few(config, len(material.units))
    return Sources(model=model, material=material)


class OfflineRun:
    """One run in its directory. `running` steps it to its end.

    Args:
        directory: the run's, made for this very configuration.
        config: of the run.
        made_of: what `sources` read.
    """

    def __init__(self, directory: RunDirectory, config: OfflineRunConfig, made_of: Sources) -> None:
        self.directory, self.config = directory, config
        self.model, self.material = made_of.model, made_of.material
        self._model_sha256 = fingerprint(self.model.module)
        self.lessons = Lessons(config, self.model)
        self.before: Metrics = {}
        self.newest: Metrics = {}
        """What was last measured of what is held out."""
        self._checkpoint_sha256 = ""
        """Of the newest; empty where another process wrote it."""
        self.step = self.metrics_size = 0
        self.elapsed_s = 0.0

    @property
    def writes(self) -> bool:
        """Whether this is the process that writes."""
        return process() == 0

    def begin(self) -> list[str]:
        """Start afresh, or go on from the newest sound checkpoint; returns why newer ones were refused.

        Raises:
            RunError: there are checkpoints, and none is sound; or data, model or configuration were changed since.
        """
        checkpoint, refused = newest_sound(self.directory)
        if checkpoint is not None:
            self._refuse_changes(checkpoint)
        if self.writes:
            sweep(self.directory, (MODEL, EVALUATION_NAME))
            self.directory.truncate_metrics(0 if checkpoint is None else checkpoint.state["metrics_size"])
        if checkpoint is not None:
            self._load(checkpoint)
        else:
            self.before = self.lessons.measure(self.material.held_out)
        return refused

    # How far it is

    @property
    def updates_per_epoch(self) -> int:
        """Updates in one pass over the texts."""
        return max(1, len(self.material.units) // self.config.batch_size)

    @property
    def num_updates(self) -> int:
        """Of the whole run."""
        return self.config.num_epochs * self.updates_per_epoch

    @property
    def is_finished(self) -> bool:
        """Whether all updates have been made."""
        return self.step >= self.num_updates

    # One update

    def iterate(self) -> Metrics:
        """One update."""
        began = time.perf_counter()
        figures = self.lessons.learn(self._batch(), progress=self.step / self.num_updates)
        self.step += 1
        if self.step % self.config.evaluate_every == 0 or self.is_finished:
            self.newest = self.lessons.measure(self.material.held_out)
            figures |= {f"held_out/{name}": value for name, value in self.newest.items()}
        self.elapsed_s += time.perf_counter() - began
        row: Metrics = {"step": self.step, "epoch": self.step / self.updates_per_epoch}
        row |= {"elapsed_s": round(self.elapsed_s, 3)} | figures
        if self.writes:
            self.metrics_size = self.directory.append_metrics(row)
        if self.step % self.config.checkpoint_every == 0 or self.is_finished:
            self.save()
        return row

    def _batch(self) -> list[Unit]:
        """The units of this update: every one once in a pass, in an order that the seed and the pass give."""
        epoch, number = divmod(self.step, self.updates_per_epoch)
        order = stream(self.config.seed, f"texts {epoch}").permutation(len(self.material.units))
        return [self.material.units[place] for place in np.array_split(order, self.updates_per_epoch)[number]]

    # Checkpoints

    def save(self) -> None:
        """Write a checkpoint."""
        if not self.writes:
            return
        tensors = {f"learner.{name}": tensor for name, tensor in self.lessons.tensors().items()}
        state: dict[str, Any] = {
            "config": config_text(self.config),
            "data_sha256": self.material.sha256,
            "model_sha256": self._model_sha256,
            "metrics_size": self.metrics_size,
            "elapsed_s": self.elapsed_s,
            "before": self.before,
            "newest": self.newest,
        }
        keep = self.config.keep_checkpoints
        self._checkpoint_sha256 = self.directory.save_checkpoint(self.step, to_arrays(tensors), state, keep=keep).sha256

    def _load(self, checkpoint: Checkpoint) -> None:
        saved: Mapping[str, Any] = checkpoint.state
        self._checkpoint_sha256 = checkpoint.sha256
        self.lessons.load(under("learner.", to_tensors(checkpoint.tensors)))
        self.step, self.metrics_size = checkpoint.step, saved["metrics_size"]
        self.elapsed_s, self.before, self.newest = saved["elapsed_s"], saved["before"], saved["newest"]

    def _refuse_changes(self, checkpoint: Checkpoint) -> None:
        read = offline_config_from_dict
        refuse_changed_config(self.directory, checkpoint, self.config, read, may_change=_MAY_CHANGE)
        refuse_changed_data(self.directory, checkpoint, self.config.data, self.material.sha256, "texts")
        if checkpoint.state["model_sha256"] != self._model_sha256:
            raise RunError(
                f"{self.config.model.path}: this is not the model that step-{checkpoint.step} of "
                f"{self.directory.path} began with; put the old one back, or begin another run with the new"
            )

    def conclude(self) -> HeldOut:
        """Write the finished model, and what it came to; what is there already stays.

        The model is used up: an adapter is taken into its weights.
        """
        found = HeldOut(
            checkpoint_sha256=self._checkpoint_sha256,
            num_prompts=len(self.material.held_out),
            before=self.before,
            after=self.newest,
        )
        if not self.writes:
            return found
        saved = saved_held_out(self.directory)
        is_model_there = (self.directory.path / MODEL / "config.json").is_file()
        if saved is None or saved.checkpoint_sha256 != found.checkpoint_sha256 or not is_model_there:
            self.model.merged().save(self.directory.path / MODEL)
            save_held_out(self.directory, found)
        return found
