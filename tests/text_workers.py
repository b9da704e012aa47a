"""One of two processes that learn together; `test_text_parallel.py` starts them and compares what they write.

Arguments: number of processes, number of this one, a file through which they meet, and one to write to.
"""

import sys

import torch
import torch.distributed
from safetensors.torch import save_file
from torch import Tensor

from heeler.algorithms import (
    DPO,
    GRPO,
    KTO,
    RLOO,
    SFT,
    DPOConfig,
    GRPOConfig,
    KLConfig,
    KTOConfig,
    OnlineDPO,
    OnlineDPOConfig,
    RLOOConfig,
    SFTConfig,
    TextPPO,
    TextPPOConfig,
)
from heeler.ops.micro_batches import select
from heeler.ops.text_batch import per_token
from tests.tabular_language import batch_of, tabular

NUM_PROMPTS = 4
CHOSEN = [[0, 3, 2], [1, 2, 3], [2, 2, 0], [3, 0, 1]]
REWARDS = [1.0, 0.0, 2.0, 0.5, None, 3.0, 1.0, 1.0, 1.0, 0.0, 4.0, 1.5]
PAIRS = [[0, 3], [1, 2], [2, 0], [3, 1]]
LABELS = [True, False, False, True, True, True, False, True]


def learned(rank: int, num_processes: int) -> dict[str, Tensor]:
    """Weights and metrics after two updates of each learner, on this process's share of the prompts."""
    results: dict[str, Tensor] = {}
    kl = KLConfig(coefficient=0.1, target=0.01)
    learners = {
        "sft": SFT(SFTConfig()),
        "sft of some": SFT(SFTConfig(aggregation="sequence_mean")),
        "rloo": RLOO(RLOOConfig(kl=kl, normalize_advantages=True)),
        "grpo": GRPO(GRPOConfig(scale="batch", truncated="mask")),
        "ppo": TextPPO(TextPPOConfig(kl=kl)),
        "dpo": DPO(DPOConfig()),
        "online dpo": OnlineDPO(OnlineDPOConfig(min_lead=1.2)),
        "kto": KTO(KTOConfig()),
    }
    share = NUM_PROMPTS // num_processes
    for name, learner in learners.items():
        # Only the first process has the right weights to begin with.
        state = learner.init(tabular(0 if rank == 0 else 7, num_prompts=NUM_PROMPTS), 0)
        reference = tabular(1, num_prompts=NUM_PROMPTS)
        for _ in range(2):
            of_pairs = name in ("dpo", "kto")
            whole = batch_of(state.model, PAIRS if of_pairs else CHOSEN)
            size = len(whole) // NUM_PROMPTS
            mine = range(rank * share * size, (rank + 1) * share * size)
            batch = select(whole, mine).batch
            more = {} if name.startswith("sft") else {"reference": reference}
            if name == "sft of some":
                # Of the first prompt nothing, of the others their tokens 0: how much it is differs between processes.
                more = {"is_learned_T": (batch.token_T == 0) & per_token(batch.prompt_of_N + rank > 0, batch.length_N)}
            if name in ("sft", "sft of some", "dpo"):
                state, metrics = learner.update(state, batch, **more)
            else:
                given = LABELS if name == "kto" else REWARDS
                state, metrics = learner.update(state, batch, [given[i] for i in mine], **more)
        results[f"{name}/weights"] = state.weights.flat.detach().clone()
        results |= {f"{name}/{metric}": torch.tensor(value).double() for metric, value in metrics.items()}
    return results


def main(num_processes: int, rank: int, meeting: str, output: str) -> None:
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    if num_processes > 1:
        torch.distributed.init_process_group(
            "gloo", init_method=f"file://{meeting}", rank=rank, world_size=num_processes
        )
    save_file(learned(rank, num_processes), output)
    if num_processes > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
