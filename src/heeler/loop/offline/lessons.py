"""A learner with what it takes of stored texts: SFT, DPO, IPO and KTO as a run steps them."""

import math
from collections.abc import Sequence
from typing import Any

from heeler.algorithms.kto import KTO
from heeler.algorithms.sft import SFT
from heeler.algorithms.text_learning import TextState
from heeler.core.errors import ConfigError, LearningError
from heeler.loop.offline.config import OfflineRunConfig
from heeler.loop.offline.material import Unit, batch_of, labels_of
from heeler.models.data_parallel import num_processes, share_of
from heeler.models.language.model import LanguageModel

Metrics = dict[str, float]


def refuse_too_few(config: OfflineRunConfig, num_units: int) -> None:
    """Refuse batches of which some process would have no share.

    Raises:
        ConfigError: there are too few units in a batch, or in all.
    """
    least = num_processes() * _multiple(config)
    if min(config.batch_size, num_units) < least:
        raise ConfigError(
            f"batch_size must be >= {least} with {num_processes()} processes, and there must be as many texts to "
            f"learn from; got {config.batch_size} and {num_units}"
        )


def _multiple(config: OfflineRunConfig) -> int:
    """Of how many units a process's share is; prompts of KTO lend each other their answers two by two."""
    return 1 if config.kto is None else 2


class Lessons:
    """Updates and measurements of one run's learner, on this process's share of each.

    Args:
        config: of the run.
        model: that learns.
    """

    def __init__(self, config: OfflineRunConfig, model: LanguageModel) -> None:
        self._multiple, self._learner = _multiple(config), config.learner
        # A new adapter is switched off for its own reference, of which one that goes on is a part; what is demonstrated
        # needs none.
        needs_copy = config.sft is None and (config.model.lora is None or config.model.goes_on)
        self._reference = model.frozen_copy() if needs_copy else None
        self.state: TextState = self._learner.init(model, config.seed)

    def learn(self, units: Sequence[Unit], progress: float) -> Metrics:
        """One update.

        Args:
            units: of all processes.
            progress: share of the run that is over.

        Raises:
            LearningError: the gradient is not finite; the weights are as they were.
        """
        given, more = self._arguments(share_of(units, multiple=self._multiple))
        learner: Any = self._learner
        self.state, metrics = learner.update(self.state, *given, **more, progress=progress)
        return metrics

    def measure(self, units: Sequence[Unit]) -> Metrics:
        """What is known of the model on units that it does not learn from: loss, and what is right of them.

        Raises:
            LearningError: the loss is not finite.
        """
        if len(units) >= num_processes() * self._multiple:
            # Else every process looks at all of them, which comes to the same means.
            units = share_of(units, multiple=self._multiple)
        given, more = self._arguments(units)
        learner: Any = self._learner
        found = learner.measure(self.state, *given, **more)
        if not math.isfinite(found["loss"]):
            raise LearningError(f"the loss on what is held out is {found['loss']}; lower the learning rate")
        names = ("loss", "rewards/accuracies", "rewards/margins", "kl")
        return {name.removeprefix("rewards/"): found[name] for name in names if name in found}

    def _arguments(self, units: Sequence[Unit]) -> tuple[list[Any], dict[str, Any]]:
        batch = batch_of(units)
        if isinstance(self._learner, SFT):
            return [batch], {}
        if isinstance(self._learner, KTO):
            return [batch, labels_of(units)], {"reference": self._reference}
        return [batch], {"reference": self._reference}

    # Checkpoints

    def tensors(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return self._learner.tensors(self.state)

    def load(self, tensors: dict[str, Any]) -> None:
        """Go on from what `tensors` returned."""
        self.state = self._learner.load_tensors(self.state, tensors)
