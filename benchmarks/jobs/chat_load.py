"""A served chat under load: 50 streams of a tiny model, alone and with a learner at work, and a swap in the middle.

The service is `heeler serve RUN`, a process of its own on a run with releases; this process is its clients. 50 of them
ask one after the other for answers of 64 tokens, each as soon as the one before is complete. Three stretches of some
seconds each: the service alone; with a process beside it that trains a model of the same size without pause; and one in
whose middle a release is put into use, as two people would. A stream that is not told to be complete was dropped.
Prints {"ttft_ms", "tokens_per_s", "ttft_learning_ms", "tokens_per_s_learning", "dropped_streams", "streams", "swap_s"}:
medians of the time to the first text, tokens of answers that were complete, and the time from the approval to the first
answer by the new version. With --learn SEED it is the learner instead.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import torch

from benchmarks.jobs.chat_service import Place, Told, make_place, served, stream, tiny_model

NUM_STREAMS, MAX_TOKENS = 50, 64
_BATCH, _LENGTH = 16, 128


async def load(place: Place, url: str, seconds: float, swap_to: int | None = None) -> tuple[list[Told], float]:
    """All streams of a stretch, and when the swap was made, by the clock of this process."""
    told: list[Told] = []
    until = time.monotonic() + seconds
    limits = httpx2.Limits(max_connections=NUM_STREAMS, max_keepalive_connections=NUM_STREAMS)
    async with httpx2.AsyncClient(timeout=120, limits=limits) as client:

        async def talk(number: int) -> None:
            turn = 0
            while time.monotonic() < until:
                turn += 1
                text, seed = f"Client {number} asks question {turn}: when are you open?", 1000 * number + turn
                key = place.chat_keys[number % len(place.chat_keys)]
                told.append(await stream(client, url, key, max_tokens=MAX_TOKENS, text=text, seed=seed))

        async def swap() -> float:
            if swap_to is None:
                return 0.0
            release_id = await asyncio.to_thread(place.propose, swap_to)
            await asyncio.sleep(seconds / 2)
            await asyncio.to_thread(place.releases.approve, release_id, "bea")
            return time.monotonic()

        swapping = asyncio.create_task(swap())
        await asyncio.gather(*(talk(number) for number in range(NUM_STREAMS)))
        return told, await swapping


@contextmanager
def learner(seed: int) -> Generator[None]:
    """A process that learns without pause."""
    process = subprocess.Popen(
        [sys.executable, "-m", __spec__.name, "--learn", str(seed)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise SystemExit("the learner did not start")
        yield
        if process.poll() is not None:
            raise SystemExit("the learner ended before it was to")
    finally:
        process.terminate()
        process.wait(30)


def learn(seed: int) -> None:
    """Train until the process is ended: the next token of random text, one update after the other."""
    torch.set_num_threads(1)
    model = tiny_model(seed)
    optimizer = torch.optim.AdamW(model.module.parameters(), lr=1e-4)
    generator = torch.Generator().manual_seed(seed)
    while True:
        ids = torch.randint(model.vocabulary_size, (_BATCH, _LENGTH), generator=generator)
        loss = model.module(input_ids=ids, labels=ids).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(float(loss), flush=True)


def measure(seed: int, seconds: float) -> dict[str, float]:
    """All three stretches on one service."""
    with tempfile.TemporaryDirectory() as folder:
        place = make_place(Path(folder), seed, 2)
        place.release(1)
        # Guards hold a text back until its sentence ends, and this model's random text seldom ends one: the first text
        # would come with the last.
        with served(place, guarded=False) as url:
            # What is done at the first answers only is no matter of load.
            asyncio.run(load(place, url, min(2.0, seconds)))
            alone, _ = asyncio.run(load(place, url, seconds))
            with learner(seed):
                beside, _ = asyncio.run(load(place, url, seconds))
            swapped, swapped_s = asyncio.run(load(place, url, seconds, swap_to=2))
    everything = [*alone, *beside, *swapped]
    newer = [told.began_s + (told.first_s or 0.0) for told in swapped if told.version == 2]
    if not newer or {told.version for told in swapped} != {1, 2}:
        raise SystemExit("the swap did not come in the middle of the stretch; take a longer one")
    return {
        **_figures(alone, ""),
        **_figures(beside, "_learning"),
        "dropped_streams": float(sum(not told.is_whole for told in everything)),
        "streams": float(len(everything)),
        "swap_s": max(0.0, min(newer) - swapped_s),
    }


def _figures(told: list[Told], name: str) -> dict[str, float]:
    firsts = [one.first_s for one in told if one.first_s is not None]
    wall_s = max(one.ended_s for one in told) - min(one.began_s for one in told)
    tokens = sum(one.num_tokens for one in told if one.is_whole)
    return {f"ttft{name}_ms": 1000 * statistics.median(firsts), f"tokens_per_s{name}": tokens / wall_s}


def main() -> None:
    """Measure, or learn."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--learn", type=int)
    arguments = parser.parse_args()
    if arguments.learn is not None:
        learn(arguments.learn)
    else:
        print(json.dumps(measure(arguments.seed, arguments.seconds)))


if __name__ == "__main__":
    main()
