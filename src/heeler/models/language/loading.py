"""Reading language models: from a folder or the hub, whole or with a LoRA adapter."""

import json
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError

from heeler.core.errors import ConfigError, DataError
from heeler.models.language.adapters import CONFIG_NAME, Lora, with_adapter, with_new_adapter
from heeler.models.language.model import LanguageModel
from heeler.models.language.saving import read_manifest

Precision = Literal["auto", "float32", "bfloat16"]
"""`auto`: bfloat16 on a GPU that computes in it, else float32."""


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
        lora: a new adapter instead.
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
    source = Path(path_or_id)
    if source.is_dir() and (source / CONFIG_NAME).is_file() and not (source / "config.json").is_file():
        if adapter is not None:
            raise ConfigError(f"{source} is itself an adapter; name the model that it was made for, or no other adapter")
        adapter, path_or_id = source, _base_of(source)
    tokenizer = _tokenizer(str(adapter) if _has_tokenizer(adapter) else str(path_or_id))
    if eos_token is not None:
        _set_eos(tokenizer, eos_token)
    if chat_template is not None:
        tokenizer.chat_template = chat_template
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


def _base_of(adapter: Path) -> str:
    path = adapter / CONFIG_NAME
    try:
        named = json.loads(path.read_bytes()).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not named:
        raise DataError(f"{path}: base_model_name_or_path is missing; name the model, and this folder as its adapter")
    return str(named)


def _has_tokenizer(adapter: Path | None) -> bool:
    return adapter is not None and (adapter / "tokenizer_config.json").is_file()


def _module(path_or_id: str | Path, dtype: torch.dtype) -> Any:
    from transformers import AutoModelForCausalLM

    folder = Path(path_or_id)
    read_manifest(folder)
    _check_folder(path_or_id)
    try:
        return AutoModelForCausalLM.from_pretrained(
            str(path_or_id), dtype=dtype, use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise DataError(f"{path_or_id} cannot be read as a causal language model: {_first_lines(error)}") from error


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


def _tokenizer(path_or_id: str) -> Any:
    from transformers import AutoTokenizer

    _check_exists(path_or_id)
    try:
        return AutoTokenizer.from_pretrained(path_or_id, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path_or_id}: its tokenizer cannot be read: {_first_lines(error)}") from error


def _check_exists(path_or_id: str) -> None:
    folder = Path(path_or_id)
    if not folder.is_dir():
        _check_folder(path_or_id)
        return
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")):
        raise DataError(f"{folder / 'tokenizer.json'} is missing; a model comes with its tokenizer")


def _set_eos(tokenizer: Any, eos_token: str) -> None:
    if eos_token not in tokenizer.get_vocab():
        raise ConfigError(f"eos_token: the tokenizer knows no token {eos_token!r}")
    tokenizer.eos_token = eos_token


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
