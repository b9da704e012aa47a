"""Two processes, each with half of the prompts, learn what one does with all."""

import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from tests.text_workers import learned

ROOT = Path(__file__).parents[3]


def started(folder, rank):
    output = folder / f"{rank}.safetensors"
    arguments = ["2", str(rank), str(folder / "meeting"), str(output)]
    return output, subprocess.Popen([sys.executable, "-m", "tests.text_workers", *arguments], cwd=ROOT)


def test_trap_data_parallel_learning_gives_the_gradient_of_one_batch(tmp_path):
    processes = [started(tmp_path, rank) for rank in range(2)]
    torch.set_default_dtype(torch.float64)
    try:
        alone = learned(0, 1)
    finally:
        torch.set_default_dtype(torch.float32)
    for _, process in processes:
        assert process.wait(timeout=120) == 0
    first, second = (load_file(output) for output, _ in processes)
    assert alone.keys() == first.keys() == second.keys()
    names = {name.split("/")[0] for name in alone}
    assert len(names) == 8
    for name, value in alone.items():
        torch.testing.assert_close(
            first[name], value, atol=1e-9, rtol=1e-6, msg=lambda text, name=name: f"{name}: {text}"
        )
        assert torch.equal(first[name], second[name]), name
