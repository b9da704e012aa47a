"""A language model that learns to say what was demonstrated."""

from heeler.algorithms.sft import SFTConfig
from heeler.loop.offline.config import OfflineRunConfig
from heeler.models.language.weights import OptimizerConfig
from heeler.recipes.models import begun_with


def sft(
    *,
    model: str,
    data: str,
    lora: bool = True,
    learning_rate: float = 2e-4,
    num_epochs: int = 1,
    batch_size: int = 16,
    chat_template: str = "",
    eos_token: str = "",
    seed: int = 0,
) -> OfflineRunConfig:
    """A language model learns to say what was demonstrated (supervised fine-tuning).

    Args:
        model: folder or hub id of the model to begin with; or the folder of an adapter, which goes on learning.
        data: rows with messages, with prompt and completion, or with text: .jsonl, .json (also .gz), .parquet, a folder
            saved by datasets, or a hub id; or a run in which people corrected or showed texts.
        lora: a new adapter learns, and is taken into the weights at the end; with --no-lora all weights do.
        learning_rate: length of a step; about 2e-5 for all weights of a large model.
        num_epochs: passes over the data.
        batch_size: demonstrations of one update.
        chat_template: file with the Jinja template of chats, in place of the tokenizer's own.
        eos_token: the token that ends a text, in place of the tokenizer's own.
        seed: everything random in the run follows from it, the split of the prompts too.
    """
    optimizer = OptimizerConfig(learning_rate=learning_rate, num_warmup_updates=10, final_learning_rate_share=0.0)
    return OfflineRunConfig(
        recipe="sft",
        model=begun_with(model, lora=lora, chat_template=chat_template, eos_token=eos_token),
        data=data,
        sft=SFTConfig(optimizer=optimizer),
        num_epochs=num_epochs,
        batch_size=batch_size,
        seed=seed,
    )
