"""LoRA adapters (Hu et al., 2021, arXiv:2106.09685) on a language model, through peft: new ones, and from a folder."""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from heeler.core.errors import ConfigError, DataError
from heeler.models.language.saving import MANIFEST_NAME, fingerprint, read_manifest

CONFIG_NAME, WEIGHTS_NAME = "adapter_config.json", "adapter_model.safetensors"


@dataclass(frozen=True, kw_only=True)
class Lora:
    """A new adapter: W + (alpha / rank) B A is learned instead of W, and begins as W."""

    rank: int = 16
    """Of the product that is added to each weight."""
    alpha: float = 32.0
    """What is added is multiplied by alpha / rank."""
    targets: tuple[str, ...] = ()
    """Names of the layers that get it, such as `q_proj`; all linear layers but the last where none is named."""

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ConfigError(f"rank of LoRA must be >= 1, got {self.rank}")
        if not self.alpha > 0:
            raise ConfigError(f"alpha of LoRA must be > 0, got {self.alpha}")


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter, and not a whole model."""
    return (folder / CONFIG_NAME).is_file() and not (folder / "config.json").is_file()


def base_of(folder: Path) -> str:
    """The folder or name of the model that the adapter in a folder says it was made for.

    Raises:
        DataError: it does not say, or its settings cannot be read.
    """
    named = _settings(folder).get("base_model_name_or_path")
    if not named:
        path = folder / CONFIG_NAME
        raise DataError(f"{path}: base_model_name_or_path is missing; name the model, and this folder as its adapter")
    return str(named)


def refuse_other(lora: Lora, folder: Path) -> None:
    """Refuse settings of a new adapter that the one in a folder, which goes on learning, does not have.

    Raises:
        ConfigError: they differ; names the first that does.
        DataError: the adapter's settings cannot be read.
    """
    settings = _settings(folder)
    asked: dict[str, Any] = {"rank": lora.rank, "alpha": lora.alpha}
    there: dict[str, Any] = {"rank": settings.get("r"), "alpha": settings.get("lora_alpha")}
    if lora.targets:
        named = settings.get("target_modules") or ()
        asked["targets"] = sorted(lora.targets)
        there["targets"] = [named] if isinstance(named, str) else sorted(named)
    differing = next((name for name in asked if asked[name] != there[name]), None)
    if differing is not None:
        raise ConfigError(
            f"lora.{differing} is {asked[differing]}, and {folder} is itself an adapter with {there[differing]}, which "
            "goes on learning as it is; leave lora out, or name the model that it was made for to begin a new one"
        )


def with_new_adapter(module: nn.Module, lora: Lora) -> nn.Module:
    """A model with an adapter that changes nothing yet.

    Raises:
        ConfigError: it has no layers of these names.
    """
    from peft import LoraConfig

    config = LoraConfig(
        r=lora.rank,
        # It only divides by the rank what peft says is a whole number.
        lora_alpha=lora.alpha,  # pyright: ignore[reportArgumentType]
        target_modules=list(lora.targets) or _linear_names(module),
        task_type="CAUSAL_LM",
        fan_in_fan_out=_is_turned(module),
    )
    try:
        return _adapted(module, config)
    except ValueError as error:
        raise ConfigError(f"targets of LoRA: {error}") from error


def _linear_names(module: Any) -> list[str]:
    """Last names of all linear layers but the one that makes the logits."""
    last = module.get_output_embeddings()
    from transformers.pytorch_utils import Conv1D

    kinds = (nn.Linear, Conv1D)
    return sorted(
        {
            name.rsplit(".", 1)[-1]
            for name, part in module.named_modules()
            if isinstance(part, kinds) and part is not last
        }
    )


def _adapted(module: nn.Module, config: Any) -> Any:
    from peft import get_peft_model

    # Else peft warns that a model was moved.
    config.base_model_name_or_path = getattr(module, "name_or_path", None) or None
    with warnings.catch_warnings():
        # peft asks transformers for something by its old name.
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        return get_peft_model(module, config)


def _is_turned(module: nn.Module) -> bool:
    """Whether its layers keep their weights transposed, as GPT-2's do."""
    from transformers.pytorch_utils import Conv1D

    return any(isinstance(part, Conv1D) for part in module.modules())


def with_adapter(module: nn.Module, folder: Path, *, base: str, trainable: bool) -> nn.Module:
    """A model with the adapter of a folder.

    Args:
        module: the model that it was made for.
        folder: as peft or `LanguageModel.save` wrote it.
        base: the path or name under which the model was found.
        trainable: whether it is to learn on.

    Raises:
        DataError: the folder lacks a file, or the adapter is for another model or of another kind.
        CheckpointError: a file was altered.
    """
    from peft import LoraConfig, set_peft_model_state_dict

    manifest = read_manifest(folder)
    settings = _settings(folder)
    _check_base(module, folder, settings, manifest, base)
    try:
        config: Any = LoraConfig.from_pretrained(str(folder))
        # Whether it learns on is not the adapter's to say.
        config.inference_mode = not trainable
        weights = load_file(folder / WEIGHTS_NAME)
        adapted = _adapted(module, config)
        outcome = set_peft_model_state_dict(adapted, weights)
    except FileNotFoundError as error:
        raise DataError(f"{folder / WEIGHTS_NAME} is missing; an adapter keeps its weights there") from error
    except (SafetensorError, OSError) as error:
        raise DataError(f"{folder / WEIGHTS_NAME} cannot be read: {error}") from error
    except (RuntimeError, ValueError, TypeError) as error:
        raise DataError(f"{folder}: the adapter does not fit {base}: {error}") from error
    lacking = [key for key in outcome.missing_keys if ".lora_" in key]
    if lacking or outcome.unexpected_keys:
        name = (lacking or outcome.unexpected_keys)[0]
        raise DataError(f"{folder / WEIGHTS_NAME}: {name} does not fit {base}; the adapter was made for another model")
    if not trainable:
        adapted.requires_grad_(False)
    return adapted


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG_NAME
    try:
        settings = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; expected the folder of an adapter") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    kind = settings.get("peft_type") if isinstance(settings, dict) else None
    if kind != "LORA":
        raise DataError(f"{path}: peft_type must be LORA, got {kind!r}")
    return settings


def _check_base(
    module: nn.Module, folder: Path, settings: dict[str, Any], manifest: dict[str, Any] | None, base: str
) -> None:
    if manifest is not None and "base_fingerprint" in manifest:
        if manifest["base_fingerprint"] != fingerprint(module):
            raise DataError(
                f"{folder / MANIFEST_NAME}: base_fingerprint is not that of {base}; the adapter was made for another "
                f"model ({settings.get('base_model_name_or_path') or 'unnamed'})"
            )
        return
    named = settings.get("base_model_name_or_path")
    # Folders are moved and renamed, so that only the last part of a name says something.
    if named and Path(str(named)).name.lower() != Path(base).name.lower():
        raise DataError(
            f"{folder / CONFIG_NAME}: base_model_name_or_path is {named!r}, and the model is {base!r}; load the model "
            "that the adapter was made for, or mend the field if it is the same under another name"
        )
