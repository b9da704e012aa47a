"""A run that fits a reward model to pairs of texts: read, split, learn what comes next, learn what is better, judge.

Like every run it can be killed at any moment: what a checkpoint does not hold follows from the seed and the data.
"""

import time
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from heeler.core.errors import ConfigError
from heeler.core.named import under
from heeler.core.rundir import Checkpoint, RunDirectory
from heeler.core.seeding import stream
from heeler.core.text_data import TextPair
from heeler.feedback.datasets import Dataset, read_compared, split
from heeler.loop.going_on import config_text, newest_sound, refuse_changed_config, refuse_changed_data, sha256_of, sweep
from heeler.loop.kept_evaluation import EVALUATION_NAME
from heeler.loop.reward_agreement import Agreement, measure, save_agreement, saved_agreement
from heeler.loop.reward_config import SMALL, RewardRunConfig, TrunkConfig, reward_config_from_dict
from heeler.loop.tensors import to_arrays, to_tensors
from heeler.models.language.small import new_language_model
from heeler.ops.micro_batches import stored
from heeler.ops.text_batch import TextBatch
from heeler.rewards.pair_tokens import PairTokens, pair_tokens
from heeler.rewards.reward_files import save_reward
from heeler.rewards.reward_learner import RewardData, RewardLearner, RewardState

if TYPE_CHECKING:
    from heeler.algorithms.sft import SFT
    from heeler.algorithms.text_learning import TextState
    from heeler.models.language.model import LanguageModel

Metrics = dict[str, float]
MODEL_NAME = "model"
"""Folder of a run in which the finished reward model is."""
_BASE_NAME = "base"


@dataclass(frozen=True, kw_only=True, eq=False)
class Sources:
    """What a run is made of and does not make itself: looked at before anything is written."""

    dataset: Dataset[TextPair]
    pairs: list[TextPair]
    """To learn from."""
    held_out: list[TextPair]
    trunk: "LanguageModel | None"
    """None without one, or where it is made from nothing."""


def sources(config: RewardRunConfig) -> Sources:
    """Read pairs and trunk.

    Raises:
        HeelerError: what cannot be read, and why.
    """
    torch.set_num_threads(config.torch_threads)
    dataset = read_compared(config.data, config.reading)
    pairs, held_out = split(dataset.items, held_out_share=config.held_out_share, seed=config.seed)
    trunk = None
    if config.trunk is not None and config.trunk.model == SMALL:
        _need_transformers()
    elif config.trunk is not None:
        trunk = _loaded_trunk(config.trunk)
    return Sources(dataset=dataset, pairs=pairs, held_out=held_out, trunk=trunk)


class RewardRun:
    """One run in its directory. `reward_running` steps it to its end.

    Args:
        directory: the run's, made for this very configuration.
        config: of the run.
        made_of: what `sources` read.
    """

    def __init__(self, directory: RunDirectory, config: RewardRunConfig, made_of: Sources) -> None:
        self.directory, self.config = directory, config
        self.dataset, self.pairs, self.held_out = made_of.dataset, made_of.pairs, made_of.held_out
        self.learner = RewardLearner(config.model)
        self.trunk = made_of.trunk
        self.tokens: PairTokens | None = None
        self.texts: TextState | None = None
        """While it learns what comes next; None before and after."""
        self.state: RewardState | None = None
        """While it learns what is better; None before."""
        self.data: RewardData | None = None
        self.step = self.metrics_size = 0
        self.elapsed_s = 0.0

    def begin(self) -> list[str]:
        """Start afresh, or go on from the newest sound checkpoint; returns why newer ones were refused.

        Raises:
            RunError: there are checkpoints, and none is sound; or data or configuration were changed since.
        """
        checkpoint, refused = newest_sound(self.directory)
        if checkpoint is not None:
            self._refuse_changes(checkpoint)
        sweep(self.directory, (_BASE_NAME, MODEL_NAME, EVALUATION_NAME))
        self._make_trunk()
        self.directory.truncate_metrics(0 if checkpoint is None else checkpoint.state["metrics_size"])
        if checkpoint is not None:
            self._load(checkpoint)
        return refused

    def _make_trunk(self) -> None:
        config = self.config.trunk
        if config is None:
            return
        base = self.directory.path / _BASE_NAME
        if self.trunk is None and base.exists():
            self.trunk = _loaded(base, dtype="float32", device="cpu")
        elif self.trunk is None:
            texts = [message.content for pair in self.pairs for message in pair.prompt]
            texts += [text for pair in self.pairs for text in (pair.chosen, pair.rejected)]
            self.trunk = new_language_model(config.size, texts, seed=self.config.seed)
            # Kept, as nobody promises that the next version of its library learns the same tokens.
            self.trunk.save(base)
        self.tokens = pair_tokens(self.trunk, self.pairs, self.config.model.long_prompts)

    @cached_property
    def sft(self) -> "SFT":
        """How the trunk learns what comes next."""
        from heeler.algorithms.sft import SFT, SFTConfig

        pretraining = (self.config.trunk or TrunkConfig()).pretraining
        return SFT(SFTConfig(optimizer=pretraining, max_tokens=self.config.model.max_tokens))

    # How far it is

    @property
    def num_pretraining(self) -> int:
        """Updates in which the trunk learns what comes next."""
        if self.config.trunk is None or self.tokens is None:
            return 0
        return self.config.trunk.num_pretraining_epochs * self._pretraining_per_epoch(self.tokens)

    def _pretraining_per_epoch(self, tokens: PairTokens) -> int:
        assert self.config.trunk is not None
        return -(-len(tokens) // self.config.trunk.pretraining_pairs)

    @property
    def num_updates(self) -> int:
        """Of the whole run; the linear part is fitted in the first one after the trunk has learned what comes next."""
        return self.num_pretraining + 1 + self.learner.num_updates(self._ready()[1])

    @property
    def is_finished(self) -> bool:
        """Whether all updates have been made."""
        # What comes after is not known before the trunk has learned what comes next, and need not be.
        return self.step > self.num_pretraining and self.step >= self.num_updates

    # One update

    def iterate(self) -> Metrics:
        """One update."""
        began = time.perf_counter()
        if self.step < self.num_pretraining:
            figures = self._pretrain()
        else:
            self.texts = None
            state, data = self._ready()
            learn = self.learner.fit_linear if self.step == self.num_pretraining else self.learner.update
            self.state, figures = learn(state, data)
        self.step += 1
        if self.is_finished:
            state, data = self._ready()
            self.state, ended = self.learner.finish(state, data)
            figures |= ended
        self.elapsed_s += time.perf_counter() - began
        row = {"step": self.step, "elapsed_s": round(self.elapsed_s, 3)} | figures
        self.metrics_size = self.directory.append_metrics(row)
        if self.step % self.config.checkpoint_every == 0 or self.is_finished:
            self.save()
        return row

    def _ready(self) -> tuple[RewardState, RewardData]:
        """State and data of the second part. Only once the first is over: both parts hold the trunk's weights."""
        if self.state is None or self.data is None:
            self.state = self.learner.init(self.trunk, self.config.seed)
            self.data = self.learner.prepare(self.state, self.pairs)
        return self.state, self.data

    def _pretrain(self) -> Metrics:
        assert self.trunk is not None and self.tokens is not None
        if self.texts is None:
            self.texts = self.sft.init(self.trunk, self.config.seed)
        epoch, number = divmod(self.step, self._pretraining_per_epoch(self.tokens))
        order = stream(self.config.seed, f"texts {epoch}").permutation(len(self.tokens))
        assert self.config.trunk is not None
        size = self.config.trunk.pretraining_pairs
        batch = _whole_texts(self.tokens, order[number * size : (number + 1) * size].tolist())
        self.texts, metrics = self.sft.update(self.texts, batch, progress=self.step / self.num_pretraining)
        return {f"pretraining_{name}": value for name, value in metrics.items()}

    # Checkpoints

    def save(self) -> Checkpoint:
        """Write a checkpoint."""
        tensors: dict[str, torch.Tensor] = {}
        if self.texts is not None:
            tensors |= {f"texts.{name}": tensor for name, tensor in self.sft.tensors(self.texts).items()}
        if self.state is not None:
            tensors |= {f"reward.{name}": tensor for name, tensor in self.learner.tensors(self.state).items()}
        state = {
            "config": config_text(self.config),
            "data_sha256": _sha256_of(self.dataset.items),
            "metrics_size": self.metrics_size,
            "elapsed_s": self.elapsed_s,
        }
        keep = self.config.keep_checkpoints
        return self.directory.save_checkpoint(self.step, to_arrays(tensors), state, keep=keep)

    def _load(self, checkpoint: Checkpoint) -> None:
        tensors = to_tensors(checkpoint.tensors)
        texts, reward = under("texts.", tensors), under("reward.", tensors)
        if texts:
            assert self.trunk is not None
            self.texts = self.sft.load_tensors(self.sft.init(self.trunk, self.config.seed), texts)
        if reward:
            state, _ = self._ready()
            self.state = self.learner.load_tensors(state, reward)
        self.step, self.metrics_size = checkpoint.step, checkpoint.state["metrics_size"]
        self.elapsed_s = checkpoint.state["elapsed_s"]

    def _refuse_changes(self, checkpoint: Checkpoint) -> None:
        refuse_changed_config(self.directory, checkpoint, self.config, reward_config_from_dict)
        data_sha256 = _sha256_of(self.dataset.items)
        refuse_changed_data(self.directory, checkpoint, self.config.data, data_sha256, "pairs")

    def conclude(self) -> Agreement:
        """Write the finished model, and judge it by the pairs that were held out; what is there already stays."""
        checkpoint, _ = self.directory.newest_checkpoint()
        assert checkpoint is not None
        reward = self._ready()[0].reward
        found = saved_agreement(self.directory)
        if found is None or found.checkpoint_sha256 != checkpoint.sha256:
            origin = {"run": self.directory.path.resolve().name, "checkpoint_sha256": checkpoint.sha256}
            save_reward(reward, self.directory.path / MODEL_NAME, origin=origin)
            judged = [pair for pair in self.held_out if reward.fits(pair)]
            found = measure(reward, judged, self.config.seed, checkpoint.sha256)
            save_agreement(self.directory, found)
        return found


def _need_transformers() -> None:
    try:
        # Its bars would stand between the lines of the run's own progress.
        import_module("transformers.utils.logging").disable_progress_bar()
    except ImportError as error:
        raise ConfigError(
            f"a package is missing ({error.name}): pip install 'heeler[lm]', or fit a reward of n-grams alone"
        ) from error


def _loaded_trunk(config: TrunkConfig) -> "LanguageModel":
    _need_transformers()
    from heeler.loop.run_model import template_in

    return _loaded(
        config.model,
        dtype=config.dtype,
        lora=config.lora,
        chat_template=template_in(config.chat_template) if config.chat_template else None,
        eos_token=config.eos_token or None,
    )


def _loaded(path_or_id: str | Path, **settings: Any) -> "LanguageModel":
    _need_transformers()
    from heeler.models.language.loading import load_language_model

    return load_language_model(path_or_id, **settings)


def _whole_texts(tokens: PairTokens, pairs: list[int]) -> TextBatch:
    """All tokens of some pairs but the first of each, every one once: what comes next is learned of prompts as well."""
    prompts: list[torch.Tensor] = []
    completions: list[torch.Tensor] = []
    for pair in pairs:
        prompt = tokens.prompts[pair]
        prompts += [prompt[:1], prompt]
        completions += [torch.cat([prompt[1:], tokens.chosen[pair]]), tokens.rejected[pair]]
    return stored(prompts, completions, torch.arange(len(prompts)))


def _sha256_of(pairs: tuple[TextPair, ...]) -> str:
    return sha256_of(
        [
            [[message.role, message.content] for message in pair.prompt],
            pair.chosen,
            pair.rejected,
            pair.margin,
            pair.is_equal,
            pair.group,
        ]
        for pair in pairs
    )
