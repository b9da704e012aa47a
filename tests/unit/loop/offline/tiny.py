"""Runs that learn from stored texts as small as they get."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from heeler.loop.offline.config import OfflineRunConfig
from heeler.recipes import dpo, sft

METHODS = ("sft", "dpo", "ipo", "kto")


def rows_for(method: str) -> list[dict[str, Any]]:
    """Twenty-four prompts: what is good ends in an exclamation mark, and is of different lengths."""
    rows: list[dict[str, Any]] = []
    for number in range(24):
        prompt = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"{number}?"}]
        good, bad = f"{'so ' * (number % 3)}{number}!", f"no {number}"
        if method == "sft":
            rows.append({"prompt": prompt, "completion": good})
        elif method == "kto":
            rows += [{"prompt": prompt, "completion": good, "label": True}]
            rows += [{"prompt": prompt, "completion": bad, "label": False}] if number % 2 else []
        else:
            rows.append({"prompt": prompt, "chosen": good, "rejected": bad})
    return rows


def file_of(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """Rows in a file."""
    path = folder / "texts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def tiny_offline_run(method: str, model: Path, data: Path, **changes: Any) -> OfflineRunConfig:
    """Two passes of a few updates each, checkpoints within and between them.

    Args:
        method: sft, dpo, ipo or kto.
        model: folder of the model to begin with.
        data: file, or run.
        changes: of the configuration.
    """
    given: dict[str, Any] = {
        "model": str(model),
        "data": str(data),
        "lora": False,
        "learning_rate": 1e-2,
        "num_epochs": 2,
        "batch_size": 6,
    }
    config = sft(**given) if method == "sft" else dpo(loss=method, **given)  # type: ignore[arg-type]
    small = {"held_out_share": 0.3, "evaluate_every": 2, "checkpoint_every": 2, "keep_checkpoints": 9}
    return dataclasses.replace(config, **(small | changes))
