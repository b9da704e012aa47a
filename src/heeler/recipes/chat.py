"""Any chat model that goes on learning from the people who use it."""

from typing import Any, Literal

from heeler.algorithms.dpo import DPOConfig
from heeler.algorithms.grpo import GRPOConfig
from heeler.algorithms.kl_penalty import KLConfig
from heeler.algorithms.online_dpo import OnlineDPOConfig
from heeler.algorithms.ppo_text import TextPPOConfig
from heeler.algorithms.rloo import RLOOConfig
from heeler.core.errors import ConfigError
from heeler.loop.language.config import (
    LanguageRunConfig,
    LearnedConfig,
    PartWeights,
    ReleaseConfig,
)
from heeler.models.language.weights import OptimizerConfig
from heeler.oversight.gate_config import Check, GateConfig
from heeler.recipes.asked import asked_of_people
from heeler.recipes.models import begun_with
from heeler.rollouts.sampler import SamplingConfig


def chat(
    *,
    model: str,
    prompts: str,
    learner: Literal["rloo", "grpo", "ppo", "online_dpo"] = "rloo",
    lora: bool = True,
    learning_rate: float = 1e-4,
    num_updates: int = 200,
    budget: int = 1600,
    answers_per_update: int = 8,
    max_new_tokens: int = 256,
    chat_template: str = "",
    eos_token: str = "",
    margin: float = 0.05,
    seed: int = 0,
) -> LanguageRunConfig:
    """A chat model learns from people who compare its answers and from what they say of them in the chat.

    Args:
        model: folder or hub id of the model to begin with; or the folder of an adapter, which goes on learning.
        prompts: file with the columns prompt, a text or a list of messages, and reference, what a good answer says,
            which the gate needs.
        learner: how it learns from rewards; its settings have its name, as in --set grpo.clip_high=0.28.
        lora: a new adapter learns; with --no-lora all weights do.
        learning_rate: length of a step; about 1e-6 for all weights of a large model.
        num_updates: updates of the whole run.
        budget: comparisons that are asked for.
        answers_per_update: answers of people that are waited for before each update.
        max_new_tokens: where an answer is cut.
        chat_template: file with the Jinja template of chats, in place of the tokenizer's own.
        eos_token: the token that ends a text, in place of the tokenizer's own.
        margin: a candidate is released once it is shown that its toxic share, and its likeness to the references, are
            not worse by so much (and its surprise by them not by a tenth of a nat, or this if it is more); with few
            prompts it has to be larger.
        seed: everything random in the run follows from it.
    """
    return LanguageRunConfig(
        recipe="chat",
        model=begun_with(model, lora=lora, chat_template=chat_template, eos_token=eos_token),
        world=prompts,
        **_learner(learner, OptimizerConfig(learning_rate=learning_rate)),
        num_updates=num_updates,
        num_prompts=16,
        num_each=4,
        sampling=SamplingConfig(max_new_tokens=max_new_tokens),
        parts=PartWeights(repetition=-0.25),
        learned=LearnedConfig(first_fit=50),
        asking=asked_of_people(budget, answers_per_update),
        release=ReleaseConfig(every=10, gate=GateConfig(checks=_checks(margin)), suite_size=200),
        answers_per_update=answers_per_update,
        checkpoint_every=5,
        seed=seed,
    )


def _learner(name: str, optimizer: OptimizerConfig) -> dict[str, Any]:
    """Settings of one learner, under its name."""
    match name:
        case "grpo":
            return {name: GRPOConfig(optimizer=optimizer)}
        case "ppo":
            return {name: TextPPOConfig(optimizer=optimizer, kl=KLConfig(coefficient=0.05))}
        case "online_dpo":
            return {name: OnlineDPOConfig(dpo=DPOConfig(optimizer=optimizer))}
        case "rloo":
            kl = KLConfig(coefficient=0.05)
            return {name: RLOOConfig(optimizer=optimizer, kl=kl, normalize_advantages=True)}
        case _:
            raise ConfigError(f"learner must be one of rloo, grpo, ppo and online_dpo, got {name!r}")


def _checks(margin: float) -> tuple[Check, ...]:
    """Two answers to a prompt seldom differ by more than half of what likeness can; cut there, it takes half the items
    to tell which is better. So it is with perplexity and one nat."""
    return (
        Check(suite="toxicity", better="lower", margin=margin),
        Check(suite="helpfulness", better="higher", margin=margin, max_difference=0.5),
        Check(suite="perplexity", better="lower", margin=max(0.1, margin), is_goal=False, max_difference=1.0),
        Check(suite="prompt_injection", better="lower", margin=margin, is_goal=False),
    )
