"""Reading language models: from a folder or the hub, whole or with a LoRA adapter."""

import json
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError

from heeler.core.errors import ConfigError, DataError
from heeler.models.language.adapters import (
    CONFIG_NAME,
    Lora,
    base_of,
    is_adapter,
    refuse_other,
    with_adapter,
    with_new_adapter,
)
from heeler.models.language.model import LanguageModel
from heeler.models.language.saving import read_manifest

Precision = Literal["auto", "float32", "bfloat16"]
"""`auto`: bfloat16 on a GPU that computes in it, else float32."""

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")


def load_language_model(
    path_or_id: str | Path,
    *,
    dtype: Precision = "auto",
    device: str | torch.device = "auto",
    adapter: Path | None = None,
    lora: Lora | None = None,
    chat_template: str | None = None,
    eos_token: str | None = None,
    trainable: bool = True,
) -> LanguageModel:
    """A causal language model with its tokenizer.

    Code that comes with a model is never run, and weights are read as safetensors alone. What is learned in bfloat16
    without an adapter loses small changes: choose float32 for that. An adapter's own weights are float32 always.

    Args:
        path_or_id: a folder that holds a model, or an adapter whose settings name one; or a name on the hub.
        dtype: what it computes in.
        device: `auto` is the GPU where there is one.
        adapter: a folder with a LoRA adapter that was made for this model.
        lora: a new adapter instead; where `path_or_id` is an adapter, it must have these very settings.
        chat_template: Jinja; takes the place of the tokenizer's own. Without any, plain prompts work and chats do not.
        eos_token: ends a text; takes the place of the tokenizer's own.
        trainable: whether it is to learn; what serves or is compared with is not.

    Raises:
        ConfigError: settings contradict each other, or the tokenizer does not fit.
        DataError: files are missing or broken, or the adapter belongs to another model; the file and field are named.
        CheckpointError: a file differs from what the folder's manifest says of it.
    """
    if adapter is not None and lora is not None:
        raise ConfigError("adapter and lora: name one that is there, or settings of a new one, and not both")
    read_manifest(Path(path_or_id))
    if is_adapter(Path(path_or_id)):
        path_or_id, adapter = _base_and_adapter(Path(path_or_id), adapter, lora)
    _check_folder(path_or_id)
    tokenizer = _tokenizer(str(adapter) if _has_tokenizer(adapter) else str(path_or_id))
    if eos_token is not None:
        _set_eos(tokenizer, eos_token)
    if chat_template is not None:
        _set_template(tokenizer, chat_template)
    where = _device(device)
    module = _module(path_or_id, _dtype(dtype, where)).to(where)
    if adapter is not None:
        module = with_adapter(module, adapter, base=str(path_or_id), trainable=trainable)
    elif lora is not None:
        module = with_new_adapter(module, lora)
    if not trainable:
        module.requires_grad_(False)
    try:
        model = LanguageModel(module, tokenizer)
    except ConfigError as error:
        raise ConfigError(f"{path_or_id}: {error}") from error
    # Found out now, so that it is not in the middle of the first update.
    _ = model.support
    return model


def _base_and_adapter(source: Path, adapter: Path | None, lora: Lora | None) -> tuple[str, Path]:
    """Of a folder that is itself an adapter, the model that it was made for and the adapter."""
    if adapter is not None:
        raise ConfigError(f"{source} is itself an adapter; name the model that it was made for, or no other adapter")
    if lora is not None:
        refuse_other(lora, source)
    return _there(base_of(source), source), source


def _there(base: str, adapter: Path) -> str:
    """The model that an adapter names, unless that is a folder that is gone."""
    is_path = Path(base).is_absolute() or base.startswith(".")
    if is_path and not Path(base).is_dir():
        raise DataError(
            f"{adapter / CONFIG_NAME}: base_model_name_or_path is {base!r}, and there is no such folder; put the model "
            "back, or mend the field if it is elsewhere now"
        )
    return base


def _has_tokenizer(adapter: Path | None) -> bool:
    return adapter is not None and (adapter / "tokenizer_config.json").is_file()


def _check_folder(path_or_id: str | Path) -> None:
    """Say what a folder lacks in plainer words than those of the hub."""
    folder = Path(path_or_id)
    if not folder.is_dir():
        is_path = isinstance(path_or_id, Path) or folder.is_absolute() or str(path_or_id).startswith((".", "~"))
        if is_path or folder.is_file():
            raise DataError(f"{path_or_id} is not a folder; expected one that holds a model (config.json, safetensors)")
        return
    config = folder / "config.json"
    if not config.is_file():
        raise DataError(f"{config} is missing; expected a folder that holds a model as transformers saves it")
    try:
        is_object = isinstance(json.loads(config.read_bytes()), dict)
    except (OSError, ValueError) as error:
        raise DataError(f"{config} cannot be read: {error}") from error
    if not is_object:
        raise DataError(f"{config} must hold an object of settings")
    if not any(folder.glob("*.safetensors")):
        hint = "; weights in other formats are not read, save them as safetensors" if any(folder.glob("*.bin")) else ""
        raise DataError(f"{folder / 'model.safetensors'} is missing{hint}")


def _module(path_or_id: str | Path, dtype: torch.dtype) -> Any:
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    # Of reading the weights, which takes a moment.
    logging.disable_progress_bar()
    try:
        module = AutoModelForCausalLM.from_pretrained(
            str(path_or_id), dtype=dtype, use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise DataError(f"{path_or_id} cannot be read as a causal language model: {_first_lines(error)}") from error
    if hasattr(module, "peft_config"):
        # transformers itself has put an adapter on it, in a way that can neither be taken off nor saved here.
        raise DataError(
            f"{path_or_id} holds an adapter beside or in place of a model; download it, and name a folder that holds "
            "the adapter alone"
        )
    return module


def _tokenizer(path_or_id: str) -> Any:
    from transformers import AutoTokenizer

    if Path(path_or_id).is_dir() and not any((Path(path_or_id) / name).is_file() for name in _TOKENIZER_FILES):
        raise DataError(f"{Path(path_or_id) / 'tokenizer.json'} is missing; a model comes with its tokenizer")
    try:
        return AutoTokenizer.from_pretrained(path_or_id, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path_or_id}: its tokenizer cannot be read: {_first_lines(error)}") from error


def _set_eos(tokenizer: Any, eos_token: str) -> None:
    if eos_token not in tokenizer.get_vocab():
        raise ConfigError(f"eos_token: the tokenizer knows no token {eos_token!r}")
    tokenizer.eos_token = eos_token


def _set_template(tokenizer: Any, template: str) -> None:
    tokenizer.chat_template = template
    try:
        tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], add_generation_prompt=True)
    except Exception as error:
        # Templates are programs, which may raise whatever they like.
        raise ConfigError(f"chat_template: it does not take a user's message: {_first_lines(error)}") from error


def _device(device: str | torch.device) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"device: {device!r} is none; expected auto, cpu or cuda") from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device: cuda was asked for, and this machine has no GPU that torch can use")
    return chosen


def _dtype(precision: Precision, device: torch.device) -> torch.dtype:
    if precision == "auto":
        serves = device.type == "cuda" and torch.cuda.is_bf16_supported()
        return torch.bfloat16 if serves else torch.float32
    known = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if precision not in known:
        raise ConfigError(f"dtype must be auto, float32 or bfloat16, got {precision!r}")
    return known[precision]


def _first_lines(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
