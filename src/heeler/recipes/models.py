"""The model that a run of a language model begins with."""

from pathlib import Path

from heeler.core.errors import ConfigError
from heeler.loop.language.config import ModelConfig
from heeler.models.language.adapters import Lora, is_adapter


def begun_with(model: str, *, lora: bool, chat_template: str, eos_token: str) -> ModelConfig:
    """A whole model, with a new adapter or without, or an adapter, which goes on learning.

    Args:
        model: folder or hub id of a model, or the folder of an adapter.
        lora: learn a new adapter in place of all weights.
        chat_template: file with the Jinja template of chats, in place of the tokenizer's own; empty for that.
        eos_token: the token that ends a text, in place of the tokenizer's own; empty for that.

    Raises:
        ConfigError: all weights are to be learned of what is an adapter.
    """
    goes_on = is_adapter(Path(model))
    if goes_on and not lora:
        raise ConfigError(
            f"lora: {model} is itself an adapter, which is what learns; leave out --no-lora, or name a whole model"
        )
    new = Lora() if lora and not goes_on else None
    return ModelConfig(path=model, lora=new, chat_template=chat_template, eos_token=eos_token)
