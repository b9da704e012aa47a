"""A language model that learns to say what was demonstrated."""

from heeler.algorithms.sft import SFTConfig
from heeler.loop.language.config import ModelConfig
from heeler.loop.offline.config import OfflineRunConfig
from heeler.models.language.adapters import Lora
from heeler.models.language.weights import OptimizerConfig


def sft(
    *,
    model: str,
    data: str,
    lora: bool = True,
    learning_rate: float = 2e-4,
    num_epochs: int = 1,
    batch_size: int = 16,
    seed: int = 0,
) -> OfflineRunConfig:
    """A language model learns to say what was demonstrated (supervised fine-tuning).

    Args:
        model: folder or hub id of the model to begin with.
        data: rows with messages, with prompt and completion, or with text: .jsonl, .json (also .gz), .parquet, a folder
            saved by datasets, or a hub id; or a run in which people corrected or showed texts.
        lora: learn an adapter in place of all weights; it is taken into them at the end.
        learning_rate: length of a step; about 2e-5 for all weights of a large model.
        num_epochs: passes over the data.
        batch_size: demonstrations of one update.
        seed: everything random in the run follows from it, the split of the prompts too.
    """
    optimizer = OptimizerConfig(learning_rate=learning_rate, num_warmup_updates=10, final_learning_rate_share=0.0)
    return OfflineRunConfig(
        recipe="sft",
        model=ModelConfig(path=model, lora=Lora() if lora else None),
        data=data,
        sft=SFTConfig(optimizer=optimizer),
        num_epochs=num_epochs,
        batch_size=batch_size,
        seed=seed,
    )
