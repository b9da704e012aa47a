"""A language model that learns from stored answers which people judged."""

from typing import Any, Literal

from heeler.algorithms.dpo import DPOConfig
from heeler.algorithms.kto import KTOConfig
from heeler.core.errors import ConfigError
from heeler.loop.offline.config import OfflineRunConfig
from heeler.models.language.weights import OptimizerConfig
from heeler.recipes.models import begun_with


def dpo(
    *,
    model: str,
    data: str,
    loss: Literal["dpo", "ipo", "kto"] = "dpo",
    beta: float = 0.1,
    lora: bool = True,
    learning_rate: float = 1e-5,
    num_epochs: int = 1,
    batch_size: int = 16,
    chat_template: str = "",
    eos_token: str = "",
    seed: int = 0,
) -> OfflineRunConfig:
    """A language model learns from stored answers which people judged (DPO, IPO, KTO).

    Args:
        model: folder or hub id of the model to begin with; or the folder of an adapter, which goes on learning.
        data: rows with prompt, chosen and rejected, or for kto with prompt, completion and label: .jsonl, .json (also
            .gz), .parquet, a folder saved by datasets, or a hub id; or a run in which people answered.
        loss: dpo and ipo learn from pairs, kto from answers that were called good or bad one by one.
        beta: weight of the KL to the model that learning began with; more stays nearer to it.
        lora: a new adapter learns, and is taken into the weights at the end; with --no-lora all weights do.
        learning_rate: length of a step; about 1e-6 for all weights of a large model.
        num_epochs: passes over the data.
        batch_size: pairs of one update, or for kto prompts with all their answers.
        chat_template: file with the Jinja template of chats, in place of the tokenizer's own.
        eos_token: the token that ends a text, in place of the tokenizer's own.
        seed: everything random in the run follows from it, the split of the prompts too.
    """
    optimizer = OptimizerConfig(learning_rate=learning_rate, num_warmup_updates=10, final_learning_rate_share=0.0)
    return OfflineRunConfig(
        recipe="dpo",
        model=begun_with(model, lora=lora, chat_template=chat_template, eos_token=eos_token),
        data=data,
        **_learner(loss, beta, optimizer),
        num_epochs=num_epochs,
        batch_size=batch_size,
        seed=seed,
    )


def _learner(loss: str, beta: float, optimizer: OptimizerConfig) -> dict[str, Any]:
    """Settings of one learner, under its name."""
    match loss:
        case "dpo" | "ipo":
            return {"dpo": DPOConfig(optimizer=optimizer, loss=loss, beta=beta)}
        case "kto":
            return {"kto": KTOConfig(optimizer=optimizer, beta=beta)}
        case _:
            raise ConfigError(f"loss must be one of dpo, ipo and kto, got {loss!r}")
