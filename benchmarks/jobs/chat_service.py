"""A run of a tiny language model with releases, served by `heeler serve` as a process of its own, and its clients."""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from heeler.core.audit import AUDIT_NAME, AuditLog
from heeler.core.releases import Releases
from heeler.core.rundir import RunDirectory
from heeler.loop.chat_releases import MODEL_PREFIX
from heeler.loop.run_model import MODEL
from heeler.models.language.model import LanguageModel
from heeler.service.accounts.accounts import Accounts
from heeler.service.accounts.database import FILE_NAME

RUN = "helpdesk"
CONTEXT = 512
NUM_KEYS = 11
_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def tiny_model(seed: int) -> LanguageModel:
    """A Llama of about 0.8 million random weights that reads bytes."""
    torch.manual_seed(seed)
    special = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
    tokens = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={token: number for number, token in enumerate(tokens)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    fast: Any = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>", pad_token="<|pad|>")
    fast.chat_template = _TEMPLATE
    config: Any = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        bos_token_id=None,
        eos_token_id=fast.eos_token_id,
        pad_token_id=fast.pad_token_id,
    )
    module: Any = LlamaForCausalLM(config).eval()
    # Answers are to be as long as they were asked for, so that all are the same work.
    with torch.no_grad():
        module.lm_head.weight[fast.convert_tokens_to_ids("<|end|>")] = 0.0
    return LanguageModel(module, fast)


@dataclass(frozen=True, kw_only=True)
class Place:
    """A folder of runs with the run, and keys."""

    folder: Path
    chat_keys: tuple[str, ...]
    """Several, as one may ask only so often."""
    steer_key: str

    @property
    def releases(self) -> Releases:
        """Of the run."""
        return Releases(RunDirectory(self.folder / RUN))

    def propose(self, version: int) -> str:
        """Propose a version; returns the release's id."""
        release_id = str(uuid.uuid4())
        self.releases.propose(release_id, version, "ann", audit_head="0" * 64)
        return release_id

    def release(self, version: int) -> str:
        """Put a version into use; returns the release's id."""
        release_id = self.propose(version)
        self.releases.approve(release_id, "bea")
        return release_id


def make_place(folder: Path, seed: int, num_versions: int) -> Place:
    """A run with a model, and as many checkpoints of other weights as there are to be versions."""
    model = tiny_model(seed)
    directory = RunDirectory.create(folder / RUN, {"recipe": "helpdesk", "seed": seed})
    model.save(directory.path / MODEL)
    for version in range(1, num_versions + 1):
        named = tiny_model(seed + version).module.named_parameters()
        weights = {MODEL_PREFIX + name: parameter.detach().numpy() for name, parameter in named}
        state = {"lineage": {"policy_version": version, "answers": 0}}
        directory.save_checkpoint(version, weights, state, keep=num_versions)
    accounts = Accounts(folder / FILE_NAME, AuditLog(folder / AUDIT_NAME), session_idle_s=1, session_s=1)
    keys: list[str] = []
    for number in range(NUM_KEYS + 1):
        role, scope = ("annotator", "chat") if number < NUM_KEYS else ("operator", "steer")
        person, _ = accounts.people.add("benchmark", name=f"{role} {number}", email=None, kind="program", role=role)
        keys.append(accounts.keys.add("benchmark", person, label=role, scopes=[scope], days=1)[1])
    accounts.close()
    return Place(folder=folder, chat_keys=tuple(keys[:-1]), steer_key=keys[-1])


@contextmanager
def served(place: Place, *, guarded: bool = True) -> Generator[str]:
    """`heeler serve` of the run; its address."""
    command = [sys.executable, "-m", "heeler", "serve", str(place.folder / RUN), "--port", "0"]
    command += [] if guarded else ["--unguarded"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if " on http" not in line:
            raise SystemExit(f"the service did not start: {line!r}")
        yield line.rpartition(" on ")[2].strip()
    finally:
        process.terminate()
        process.wait(30)


@dataclass(kw_only=True)
class Told:
    """What one stream told."""

    first_s: float | None = None
    """Until the first text."""
    num_tokens: int = 0
    version: int = -1
    is_whole: bool = False
    began_s: float = 0.0
    ended_s: float = 0.0


async def stream(client: httpx2.AsyncClient, url: str, key: str, *, max_tokens: int, text: str, seed: int) -> Told:
    """One streamed answer."""
    body = {"model": RUN, "messages": [{"role": "user", "content": text}], "max_tokens": max_tokens, "seed": seed}
    body |= {"stream": True, "stream_options": {"include_usage": True}}
    told = Told(began_s=time.monotonic())
    headers = {"Authorization": f"Bearer {key}"}
    async with client.stream("POST", f"{url}/v1/chat/completions", json=body, headers=headers) as response:
        if response.status_code == 200:
            async for chunk in _chunks(response):
                if chunk is None:
                    told.is_whole = True
                    break
                _take(told, chunk)
    told.ended_s = time.monotonic()
    return told


async def _chunks(response: httpx2.Response) -> AsyncIterator[dict[str, Any] | None]:
    async for line in response.aiter_lines():
        if line.startswith("data: "):
            data = line.removeprefix("data: ")
            yield None if data == "[DONE]" else json.loads(data)


def _take(told: Told, chunk: dict[str, Any]) -> None:
    if "error" in chunk:
        return
    told.version = int(chunk["model"].rpartition("@")[2])
    if told.first_s is None and any(choice["delta"].get("content") for choice in chunk["choices"]):
        told.first_s = time.monotonic() - told.began_s
    if chunk.get("usage"):
        told.num_tokens = chunk["usage"]["completion_tokens"]
