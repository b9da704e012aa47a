"""What is vLLM's own: what it is made with and asked, and adapters' folders. The rest is in the protocol's tests."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from heeler.core.errors import ConfigError
from heeler.models.language.loading import load_language_model
from heeler.rollouts.vllm_engine import VllmEngine
from tests import vllm_stand_in
from tests.unit.rollouts.adapted import adapted, saved_base
from tests.unit.rollouts.test_engine import ask, prompt

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_base(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    vllm_stand_in.install(monkeypatch)


@pytest.fixture
def engine(stand_in: None, base: Path) -> Iterator[VllmEngine]:
    engine = VllmEngine(base, adapted(base, 1), 1, max_streams=3, dtype="float32")
    yield engine
    vllm_stand_in.Engine.made[0].gate.set()
    engine.close()


def folders(engine: VllmEngine) -> list[str]:
    return sorted(path.name for path in engine._folder.iterdir())


def test_without_vllm_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, base: Path) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ConfigError, match=r"vLLM is not installed .*: pip install 'heeler\[vllm\]'"):
        VllmEngine(base, load_language_model(base, trainable=False), 1)


def test_what_it_is_made_with(engine: VllmEngine, base: Path) -> None:
    assert vars(vllm_stand_in.Engine.made[0].arguments) == {
        "model": str(base),
        "trust_remote_code": False,
        "dtype": "float32",
        "logprobs_mode": "processed_logprobs",
        "max_num_seqs": 3,
        "max_model_len": 128,
        "enable_lora": True,
        "max_lora_rank": 8,
        "max_loras": 2,
    }


def test_a_model_without_an_adapter_needs_no_room_for_one(stand_in: None, base: Path) -> None:
    engine = VllmEngine(base, load_language_model(base, trainable=False), 1)
    try:
        assert not {"enable_lora", "max_lora_rank"} & set(vars(vllm_stand_in.Engine.made[0].arguments))
        assert ask(engine, prompt(1)).wait().reason in {"stop", "length"}
        with pytest.raises(ConfigError, match="vLLM exchanges adapters alone"):
            engine.swap(adapted(base, 1), 2)
    finally:
        engine.close()


def test_what_it_is_asked(engine: VllmEngine) -> None:
    ask(engine, [5, 6], max_new_tokens=3, temperature=0.5, top_p=0.9, top_k=2, stop=("x",), seed=-1).wait()
    ask(engine, [5] * 120, max_new_tokens=500, top_logprobs=4).wait()
    first, second = vllm_stand_in.Engine.made[0].asked
    assert vars(first) == {
        "max_tokens": 3,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 2,
        "stop": ["x"],
        "stop_token_ids": [1],
        "seed": 2**63 - 1,
        "logprobs": 0,
        "output_kind": "delta",
    }
    assert second.max_tokens == 8, "what is left of the context"
    assert second.logprobs == 4


def test_an_adapters_folder_stays_as_long_as_it_is_used(engine: VllmEngine, base: Path) -> None:
    inner = vllm_stand_in.Engine.made[0]
    inner.gate.clear()
    before = ask(engine, prompt(1), max_new_tokens=5)
    (first,) = folders(engine)
    engine.swap(adapted(base, 2), 2)
    assert first in folders(engine) and len(folders(engine)) == 2, "the first has a completion on its way"
    inner.gate.set()
    before.wait()
    after = ask(engine, prompt(1), max_new_tokens=3).wait()
    assert after.versions == {2} and first not in folders(engine) and len(folders(engine)) == 1
    engine.close()
    assert not engine._folder.exists()


def test_adapters_of_a_high_rank_are_refused(stand_in: None, engine: VllmEngine, base: Path) -> None:
    with pytest.raises(ConfigError, match="of a rank up to 8, and this one's is 9"):
        engine.swap(adapted(base, 2, rank=9), 2)
    assert engine.version == 1
    with pytest.raises(ConfigError, match="a rank up to 512, and this one's is 513"):
        VllmEngine(base, adapted(base, 1, rank=513), 1)


def test_failures_end_their_completions_and_not_the_engine(engine: VllmEngine) -> None:
    inner = vllm_stand_in.Engine.made[0]
    inner.fails = True
    failed = ask(engine, [5, 6]).wait()
    assert failed.reason == "error" and failed.pieces[-1].error == "RuntimeError: out of memory"
    inner.fails = False
    inner.requests.clear()
    inner.arguments.max_model_len = 1
    assert ask(engine, [5, 6]).wait().pieces[-1].error == "ValueError: too long"
    inner.arguments.max_model_len = 128
    assert ask(engine, [5, 6]).wait().reason in {"stop", "length"}


def test_what_vllm_refuses_is_told(stand_in: None, base: Path) -> None:
    model = load_language_model(base, trainable=False)
    with pytest.raises(ConfigError, match="vLLM refuses unreadable: no such model"):
        VllmEngine("unreadable", model, 1)
    with pytest.raises(ConfigError, match=r"vLLM refuses .* unexpected argument 'no_such'"):
        VllmEngine(base, model, 1, no_such=1)
