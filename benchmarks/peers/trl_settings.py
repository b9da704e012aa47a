"""What all of TRL's trainers are told."""

from typing import Any


def settings(material: dict[str, Any], output: str) -> dict[str, Any]:
    """What all trainers are told: plain Adam in the order of the data, on the CPU, nothing written."""
    return {
        "output_dir": output,
        "per_device_train_batch_size": material["batch_size"],
        "num_train_epochs": 1,
        "learning_rate": material["learning_rate"],
        "lr_scheduler_type": "constant",
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "train_sampling_strategy": "sequential",
        "gradient_checkpointing": False,
        "use_cpu": True,
        "bf16": False,
        "logging_steps": 10_000,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }
