"""The loop of a language model. Whoever reads `LanguageRun.iterate` sees it whole.

A checkpoint holds everything that the next update depends on, so that a run killed at any moment goes on from its last
checkpoint as if it had never stopped. Steps count completions.
Shapes: N completions, M members of the ensemble.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from heeler.core.errors import ConfigError, DataError
from heeler.core.named import under
from heeler.core.nouns import Message, PolicyVersion
from heeler.core.rundir import Checkpoint, RunDirectory
from heeler.core.seeding import stream
from heeler.core.texts import TextSample
from heeler.core.verdict import Verdict
from heeler.feedback.acquisition import Candidates, select
from heeler.feedback.completions import GUARD_ACTS
from heeler.feedback.store import Store
from heeler.loop.chat_releases import MODEL_PREFIX
from heeler.loop.going_on import (
    config_text,
    go_back,
    newest_sound,
    refuse_changed_config,
    refuse_changed_data,
    refuse_changed_files,
)
from heeler.loop.holding import RULES_MAY_CHANGE, By, Held, Holding, Level
from heeler.loop.language.asking import HELD_OUT, Asking, Comparison, Shown
from heeler.loop.language.config import LanguageRunConfig, language_config_from_dict
from heeler.loop.language.parts import sha256_of_files
from heeler.loop.language.rewarding import Rewarding
from heeler.loop.language.worlds import Prompted, world_named
from heeler.loop.run_model import load_start
from heeler.loop.tensors import to_arrays, to_tensors
from heeler.loop.watching import MAY_CHANGE, Watch
from heeler.models.language.model import LanguageModel
from heeler.ops.text_batch import TextBatch
from heeler.oversight.monitors import Setup
from heeler.oversight.over_optimisation import SIGNALS, review
from heeler.rewards.text.coherence import Repetition
from heeler.rollouts.sampler import sample

Metrics = dict[str, float]
_POLL_S = 0.2
# What is learned does not depend on these.
_MAY_CHANGE = ("keep_checkpoints", "num_evaluation_items", "store", "store_patience_s", "system")
_MAY_CHANGE += (*MAY_CHANGE, *RULES_MAY_CHANGE)
_LEARNED = "rewards/learned/mean"


class LanguageRun:
    """One run in its directory, which holds the model that learning begins with (see `loop.run_model`).

    Args:
        directory: the run's, made for this very configuration.
        config: of the run.
        store: the run's store.

    Raises:
        HeelerError: model or prompts cannot be read.
    """

    def __init__(self, directory: RunDirectory, config: LanguageRunConfig, store: Store) -> None:
        torch.set_num_threads(config.torch_threads)
        self.directory, self.config, self.store = directory, config, store
        self.world = world_named(config.world, config.num_in_suites)
        settings: dict[str, Any] = {"dtype": config.model.dtype, "device": config.model.device}
        with torch.random.fork_rng(devices=[]):
            # An adapter begins by chance.
            torch.manual_seed(config.seed)
            self.model = load_start(directory.path, lora=config.model.lora, **settings)
        self.reference = load_start(directory.path, trainable=False, **settings)
        self.learner = config.learner
        self.state = self.learner.init(self.model, config.seed)
        self.asking = Asking(config.asking, store, self.world, config.seed, self._can_read)
        self.rewarding = Rewarding(config, self.world, self.reference)
        self.noise = torch.Generator(self.model.device).manual_seed(config.seed + 1)
        self.holding = Holding(config.interventions)
        self.step = self.update = self.metrics_size = self.watched_from = 0
        self.elapsed_s = 0.0
        self.monitors: Watch | None = None
        if config.monitors is not None:
            self.monitors = Watch(Setup(config=config.monitors, num_updates=config.num_updates), directory)
        self.rows: list[Mapping[str, Any]] = []
        """What the watch goes by."""

    def begin(self) -> list[str]:
        """Start afresh, or go on from the newest sound checkpoint; returns why newer ones were refused.

        Raises:
            RunError: there are checkpoints, and none is sound; or the configuration is not the one that the checkpoint
                was made with.
        """
        checkpoint, refused = newest_sound(self.directory)
        if checkpoint is None:
            self.directory.truncate_metrics(0)
            self.store.add_policy_version(PolicyVersion(version=0, step=0))
        else:
            self._refuse_changed_config(checkpoint)
            self._load(checkpoint)
        return refused

    @property
    def is_finished(self) -> bool:
        """Whether all updates have been made."""
        return self.update >= self.config.num_updates

    @property
    def is_offer_due(self) -> bool:
        """Whether the model as it is now is to be offered as a candidate."""
        release = self.config.release
        return release is not None and self.update > 0 and (self.update % release.every == 0 or self.is_finished)

    def iterate(self) -> Metrics | None:
        """One turn of the loop; None where it only waited for people's answers."""
        if self._waits_for_people():
            return None
        began = time.perf_counter()
        prompted = self._prompts()
        batch = self._sample(self.model, [each.prompt for each in prompted], self.config.num_each)
        samples = self._samples(batch, prompted)
        sampled = time.perf_counter()
        member_NM = self.rewarding.look(batch)
        if self.config.asking is not None:
            self.store.add_policy_version(PolicyVersion(version=self.update, step=self.step))
        self.asking.ask(self._chosen(batch, samples, member_NM), step=self.step, acquisition=self._acquisition)
        self._ask_held_out()
        self.step += self.config.steps_per_update
        num_answers, held_out, figures = self._listen()
        self.rewarding.look(batch)
        composed = self.rewarding.score(samples)
        rewarded = time.perf_counter()
        if any(reward is not None for reward in composed.rewards) and self.holding.learns:
            progress = self.update / self.config.num_updates
            self.state.weights.pace = self.holding.pace
            self.state, learned = self.learner.update(
                self.state, batch, composed.rewards, reference=self.reference, progress=progress
            )
            figures |= learned
        self.update += 1
        ended = time.perf_counter()
        self.elapsed_s += ended - began
        times = {"sampling_s": sampled - began, "reward_s": rewarded - sampled, "learning_s": ended - rewarded}
        told: Metrics = {"answers": num_answers, "pairs": len(self.asking.pairs), "asked": self.asking.num_asked}
        if held_out is not None:
            told["held_out"] = held_out
        told |= {f"guards/{name}": number for name, number in self.store.setting(GUARD_ACTS, {}).items()}
        if self.asking.num_left_out:
            told["left_out"] = self.asking.num_left_out
        told |= self.holding.metrics()
        return self._record(samples, dict(composed.metrics) | figures | told | times)

    # Act

    def _prompts(self) -> list[Prompted]:
        """Of the world, and of chats in which people said something."""
        config = self.config
        seed = config.seed * 1_000_003 + self.update
        found = self.asking.from_chats(round(config.chat_share * config.num_prompts), seed)
        return found + self.world.prompts("train", config.num_prompts - len(found), seed=seed)

    def _sample(self, model: LanguageModel, prompts: Sequence[tuple[Message, ...]], num_each: int) -> TextBatch:
        ids = [model.prompt_ids(prompt) for prompt in prompts]
        return sample(model, ids, num_each=num_each, config=self.config.sampling, generator=self.noise)

    def _samples(self, batch: TextBatch, prompted: Sequence[Prompted]) -> list[TextSample]:
        rows = zip(batch.completions, batch.prompt_of_N.tolist(), batch.truncated_N.tolist(), strict=True)
        return [
            TextSample(
                prompt=prompted[of].prompt,
                completion=self.model.text(ids),
                columns=prompted[of].columns,
                num_tokens=len(ids),
                truncated=truncated,
            )
            for ids, of, truncated in rows
        ]

    def _before(self, prompt: tuple[Message, ...], number: int) -> str:
        """What the model that learning began with says to a prompt; the same number, the same words."""
        generator = torch.Generator(self.reference.device).manual_seed(self.config.seed + number)
        ids = [self.reference.prompt_ids(prompt)]
        batch = sample(self.reference, ids, num_each=1, config=self.config.sampling, generator=generator)
        return self.reference.text(batch.completions[0])

    def _can_read(self, prompt: tuple[Message, ...]) -> bool:
        try:
            self.reference.prompt_ids(prompt)
        except DataError:
            return False
        return True

    # Ask

    @property
    def _acquisition(self) -> str:
        return "disagreement" if self.rewarding.is_fitted else "random"

    def _chosen(
        self, batch: TextBatch, samples: Sequence[TextSample], member_NM: np.ndarray | None
    ) -> list[Comparison]:
        """Pairs of completions to compare: of different prompts, those on which the members of the ensemble differ."""
        num = min(self.asking.num_due, len(batch.prompts))
        if num == 0:
            return []
        random = stream(self.config.seed, f"questions {self.update}")
        pairs = [pair for of in range(len(batch.prompts)) if (pair := self._two(batch, samples, of, random))]
        if not pairs:
            return []
        returns = np.zeros((1, len(samples))) if member_NM is None else member_NM.T.astype(np.float64)
        found = Candidates(returns=returns, pairs=np.array(pairs))
        wanted = select(self._acquisition, min(num, len(pairs)), found, random).indices
        return [
            (self._shown(samples[left]), self._shown(samples[right]))
            for left, right in (pairs[place] for place in wanted)
        ]

    def _two(
        self, batch: TextBatch, samples: Sequence[TextSample], of: int, random: np.random.Generator
    ) -> tuple[int, int] | None:
        """Two completions of a prompt that say different things; None where all say the same."""
        rows = random.permutation(np.flatnonzero((batch.prompt_of_N == of).numpy()))
        first = samples[rows[0]].completion
        other = next((row for row in rows[1:] if samples[row].completion != first), None)
        return None if other is None else (int(rows[0]), int(other))

    def _shown(self, text: TextSample) -> Shown:
        return Shown(sample=text, version=self.update)

    def _ask_held_out(self) -> None:
        """Compare the model with what it was, on prompts that nothing is learned from."""
        asking = self.config.asking
        if asking is None or asking.num_held_out == 0 or self.update % asking.held_out_every:
            return
        seed = self.config.seed * 1_000_003 + self.update
        prompted = self.world.prompts("held_out", asking.num_held_out, seed=seed)
        prompts = [each.prompt for each in prompted]
        now, before = (
            self._samples(self._sample(model, prompts, 1), prompted) for model in (self.model, self.reference)
        )
        sides = zip(now, before, strict=True)
        self.asking.ask(
            [
                (self._shown(new), Shown(sample=old, version=0))
                for new, old in sides
                if new.completion != old.completion
            ],
            step=self.step,
            acquisition=HELD_OUT,
        )

    def _waits_for_people(self) -> bool:
        """Whether answers that this update is to wait for are not in yet; looks for new ones."""
        wanted = self.config.answers_per_update * self.update
        if not self.asking.lacks(wanted):
            return False
        self._listen()
        if not self.asking.lacks(wanted):
            return False
        time.sleep(_POLL_S)
        return True

    def _listen(self) -> tuple[int, float | None, Metrics]:
        """Take in what was said since, and fit the reward anew where that is due: answers, held-out share, figures."""
        if self.asking.leave_out_withdrawn():
            # What the reward learned from them cannot be taken out of it.
            self.rewarding.unlearn()
        num_answers, held_out = self.asking.listen(self.step, self._before)
        return num_answers, held_out, self.rewarding.refit_if_due(list(self.asking.pairs.values()))

    # Watch

    def _record(self, samples: Sequence[TextSample], figures: Mapping[str, float | None]) -> Metrics:
        row: Metrics = {"step": self.step, "update": self.update, "elapsed_s": round(self.elapsed_s, 3)}
        row |= {name: float(value) for name, value in figures.items() if value is not None}
        repeated = Repetition().score(samples)
        row["repetition"] = float(np.mean([share for share in repeated if share is not None]))
        if "rewards/learned/disagreement" in row:
            row["reward_disagreement"] = row["rewards/learned/disagreement"]
        self._follow(row)
        verdict = self.verdict()
        if verdict is not None:
            row["watch/nearness"] = float(verdict.evidence["nearness"])
        if self.monitors:
            row |= self.monitors.look(row)
            self.holding.findings += self.monitors.findings
        self.holding.decide(self.update)
        self.metrics_size = self.directory.append_metrics(row)
        if self.update % self.config.checkpoint_every == 0 or self.is_finished or self.is_offer_due:
            self.save()
        return row

    def _follow(self, row: Mapping[str, Any]) -> None:
        """Take a row in for the watch, whose reward is the learned one."""
        if self.config.watch is not None and _LEARNED in row and row["step"] > self.watched_from:
            followed = {name: row[name] for name in ("step", *SIGNALS) if name in row and name != "reward"}
            self.rows.append(followed | {"reward": row[_LEARNED]})

    def verdict(self) -> Verdict | None:
        """What the watch says; None where there is none, or nothing was learned from people yet."""
        if self.config.watch is None or not self.rows:
            return None
        return review(self.config.watch, self.rows)

    def watch_anew(self) -> None:
        """Somebody has looked at the evidence and has learning go on: from now on other evidence counts."""
        self.watched_from, self.rows = self.step, []

    # Checkpoints

    def save(self) -> Checkpoint:
        """Write a checkpoint now."""
        tensors = {f"learner.{name}": tensor for name, tensor in self.learner.tensors(self.state).items()}
        tensors |= {f"rewarding.{name}": tensor for name, tensor in self.rewarding.tensors().items()}
        parameters = self.model.module.named_parameters()
        tensors |= {f"{MODEL_PREFIX}{name}": tensor for name, tensor in parameters if tensor.requires_grad}
        tensors["noise"] = self.noise.get_state()
        state = {
            "config": config_text(self.config),
            "data_sha256": self.world.sha256,
            "files_sha256": sha256_of_files(self.config.parts),
            "lineage": {"policy_version": self.update, "answers": self.asking.num_answered},
            "update": self.update,
            "metrics_size": self.metrics_size,
            "elapsed_s": self.elapsed_s,
            "watched_from": self.watched_from,
            "asking": self.asking.state(),
            "rewarding": self.rewarding.to_json(),
            "holding": self.holding.state(),
            "monitors": self.monitors.state() if self.monitors else None,
        }
        keep = self.config.keep_checkpoints
        spare = self.holding.spared(self.directory.checkpoint_steps())
        checkpoint = self.directory.save_checkpoint(self.step, to_arrays(tensors), state, keep=keep, spare=spare)
        self._tell_of(checkpoint)
        return checkpoint

    def _tell_of(self, checkpoint: Checkpoint) -> None:
        """Have monitors and store know of the checkpoint that the run stands at."""
        if self.monitors:
            self.monitors.wrote_checkpoint(checkpoint.step)
        self.store.add_policy_version(
            PolicyVersion(version=self.update, step=checkpoint.step, checkpoint_sha256=checkpoint.sha256)
        )

    def roll_back(self, step: int) -> None:
        """Forget what was learned after the checkpoint of `step`. People's answers stay, and are taken in again.

        Raises:
            CheckpointError: there is no such checkpoint, or it is torn or altered; nothing is forgotten.
        """
        checkpoint = self.directory.load_checkpoint(step)
        self._refuse_changed_config(checkpoint)
        gone_back = go_back(self.directory, checkpoint, self.holding, keep=self.config.keep_checkpoints)
        self._load(gone_back)
        if gone_back.sha256 != checkpoint.sha256:
            self._tell_of(gone_back)

    def hold(self, level: Level, *, by: By, reason: str) -> str:
        """Be slowed or frozen; saved before it returns. Says in words what came of it.

        Raises:
            ConfigError: a language model has nothing to fall back to while it learns.
        """
        if level == "fall_back":
            raise ConfigError(
                "what a model answers while it learns goes to nobody: freeze it; those who chat are given the release "
                "in use, and the one before it once that is withdrawn"
            )
        said = self.holding.hold(Held(level=level, by=by, reason=reason, since_step=self.step))
        self.save()
        return said

    def thaw(self) -> str:
        """Learn freely again; says in words what came of it."""
        said = self.holding.thaw()
        self.save()
        return said

    def come_to_rest(self) -> str:
        """Write a checkpoint: a model between two updates is at rest."""
        self.save()
        return "nothing moves between two updates"

    def set_budget(self, budget: int) -> int:
        """Ask for so many comparisons in all from now on; returns how many it were.

        Raises:
            ConfigError: this run asks nothing.
        """
        if self.config.asking is None:
            raise ConfigError("this run asks nothing; it learns from what people say in chats")
        was, self.asking.budget = self.asking.budget, budget
        return was

    def waiting(self) -> Metrics:
        """Where the run stands while it waits; no update's metrics."""
        return {
            "step": self.step,
            "update": self.update,
            "pairs": len(self.asking.pairs),
            "asked": self.asking.num_asked,
        }

    def _refuse_changed_config(self, checkpoint: Checkpoint) -> None:
        read = language_config_from_dict
        refuse_changed_config(self.directory, checkpoint, self.config, read, may_change=_MAY_CHANGE)
        # Checkpoints of the first runs do not hold it.
        if "data_sha256" in checkpoint.state:
            refuse_changed_data(self.directory, checkpoint, self.config.world, self.world.sha256, "prompts")
        refuse_changed_files(self.directory, checkpoint, sha256_of_files(self.config.parts))

    def _load(self, checkpoint: Checkpoint) -> None:
        tensors = to_tensors(checkpoint.tensors)
        saved = checkpoint.state
        self.state = self.learner.load_tensors(self.state, under("learner.", tensors))
        self.rewarding.load(under("rewarding.", tensors), saved["rewarding"])
        self.asking.load(saved["asking"], self._before)
        self.noise.set_state(tensors["noise"])
        self.step, self.update = checkpoint.step, saved["update"]
        self.metrics_size, self.elapsed_s = saved["metrics_size"], saved["elapsed_s"]
        # Checkpoints from before a run could be held do not say so.
        self.holding.load(saved.get("holding"))
        self.watched_from, self.rows = saved["watched_from"], []
        # Checkpoints of runs that nobody watched do not hold it.
        if self.monitors and saved.get("monitors"):
            self.monitors.load(saved["monitors"])
        self.directory.truncate_metrics(self.metrics_size)
        for row in self.directory.metrics():
            self._follow(row)
