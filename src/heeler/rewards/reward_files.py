"""Reward models on disk: a folder with `reward.json`, `reward.safetensors` and, where there is one, the trunk's folder.

The folder appears whole or not at all; `reward.json` carries the SHA-256 of the numbers, and the trunk's manifest those
of its files.
"""

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from heeler import __version__
from heeler.core.errors import CheckpointError, DataError, RunError
from heeler.core.rundir import flush_directory
from heeler.rewards.language_model import LanguageReward
from heeler.rewards.reward_settings import RewardModelConfig

if TYPE_CHECKING:
    from heeler.models.language.loading import Precision

FORMAT = 1
DESCRIPTION_NAME, TENSORS_NAME, TRUNK_NAME = "reward.json", "reward.safetensors", "trunk"


def save_reward(reward: LanguageReward, folder: Path, *, origin: Mapping[str, Any] | None = None) -> None:
    """Write a reward model beside `folder`, and rename it; one that is there is replaced.

    Args:
        reward: to write.
        folder: of its own.
        origin: where it comes from, JSON-ready.

    Raises:
        RunError: it cannot be written, or the folder holds something else.
    """
    if folder.exists() and not (folder / DESCRIPTION_NAME).exists() and any(folder.iterdir()):
        raise RunError(f"{folder} is not empty and is no reward model; choose another folder")
    content = save(_arrays(reward))
    description = {
        "format": FORMAT,
        "made_by": f"heeler {__version__}",
        "config": dataclasses.asdict(reward.config),
        "temperature": reward.temperature,
        "has_trunk": reward.trunk is not None,
        "sha256": {TENSORS_NAME: hashlib.sha256(content).hexdigest()},
        "origin": dict(origin or {}),
    }
    aside, replaced = (folder.with_name(f".{folder.name}.{end}") for end in (f"{os.getpid()}.tmp", "replaced"))
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        if reward.trunk is not None:
            reward.trunk.save(aside / TRUNK_NAME)
        for name, bytes_ in ((TENSORS_NAME, content), (DESCRIPTION_NAME, json.dumps(description, indent=1).encode())):
            with (aside / name).open("wb") as file:
                file.write(bytes_)
                file.flush()
                os.fsync(file.fileno())
        flush_directory(aside)
        shutil.rmtree(replaced, ignore_errors=True)
        if folder.exists():
            os.replace(folder, replaced)
        os.replace(aside, folder)
        flush_directory(folder.parent)
        shutil.rmtree(replaced, ignore_errors=True)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise RunError(
            f"cannot write {folder}: {error.strerror or error}; free some space or choose another"
        ) from error


def load_reward(
    folder: Path, *, dtype: "Precision" = "auto", device: str = "auto", trainable: bool = False
) -> LanguageReward:
    """Read what `save_reward` wrote.

    Args:
        folder: of the reward model.
        dtype: what the trunk computes in.
        device: where it does.
        trainable: whether the trunk is to learn.

    Raises:
        DataError: there is none, or a field does not hold.
        CheckpointError: a file is missing, torn or altered.
    """
    replaced = folder.with_name(f".{folder.name}.replaced")
    # A replacement that a kill cut short between its two renamings.
    if not folder.exists() and replaced.exists():
        os.replace(replaced, folder)
    description = _description(folder)
    try:
        content = (folder / TENSORS_NAME).read_bytes()
    except OSError as error:
        raise CheckpointError(f"{folder / TENSORS_NAME} is refused: {error.strerror or error}") from error
    try:
        if hashlib.sha256(content).hexdigest() != description["sha256"][TENSORS_NAME]:
            raise CheckpointError(f"{folder / TENSORS_NAME} is refused: its SHA-256 is not that in {DESCRIPTION_NAME}")
        config = TypeAdapter(RewardModelConfig).validate_python(description["config"])
        trunk = None
        if description["has_trunk"]:
            from heeler.models.language.loading import load_language_model

            trunk = load_language_model(folder / TRUNK_NAME, dtype=dtype, device=device, trainable=trainable)
        reward = LanguageReward(config, trunk)
        reward.temperature = float(description["temperature"])
        _fill(reward, load(content))
    except (KeyError, TypeError, ValidationError, SafetensorError) as error:
        raise DataError(f"{folder / DESCRIPTION_NAME} does not hold: {_first_line(error)}") from error
    return reward


def _description(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION_NAME
    try:
        description = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; expected a folder that holds a reward model") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise DataError(f"{path}: format must be {FORMAT}, as this version reads it")
    return description


def _arrays(reward: LanguageReward) -> dict[str, np.ndarray]:
    arrays = {"offset": reward.offset_M.numpy()}
    if reward.head_MD is not None:
        arrays["head"] = reward.head_MD.detach().float().cpu().numpy()
    if reward.feature_weight_FM is not None:
        arrays["feature_weight"] = reward.feature_weight_FM.numpy()
    if reward.ngrams is not None:
        # Most buckets hold nothing that was ever seen.
        bucket_K = torch.nonzero(reward.ngram_weight_BM.abs().sum(1))[:, 0]
        arrays["ngram_bucket"] = bucket_K.numpy()
        arrays["ngram_weight"] = reward.ngram_weight_BM[bucket_K].numpy()
        arrays["ngram_rarity"] = reward.ngrams.weight_B
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _fill(reward: LanguageReward, arrays: Mapping[str, np.ndarray]) -> None:
    reward.offset_M = torch.from_numpy(arrays["offset"].copy())
    if reward.head_MD is not None:
        reward.head_MD.data.copy_(torch.from_numpy(arrays["head"].copy()))
    if reward.feature_weight_FM is not None:
        reward.feature_weight_FM = torch.from_numpy(arrays["feature_weight"].copy())
    if reward.ngrams is not None:
        bucket_K, weight_KM = (torch.from_numpy(arrays[name].copy()) for name in ("ngram_bucket", "ngram_weight"))
        reward.ngram_weight_BM[bucket_K] = weight_KM
        reward.ngrams.weight_B = arrays["ngram_rarity"].copy()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
