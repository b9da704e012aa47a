"""chrF and token F1 by hand, and by plain loops."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heeler.core.errors import ConfigError, RewardError
from heeler.rewards.text.helpfulness import EmbeddingSimilarity, chrf_part, token_f1_part
from heeler.rewards.text.similarity import chrf, token_f1
from tests.tiny_models import save_tiny_embeddings
from tests.unit.rewards.text.samples import plain


def test_chrf_by_hand() -> None:
    # abc against abd: of single letters 2 of 3, of pairs 1 of 2, of triples 0 of 1, both ways.
    precision = recall = (2 / 3 + 1 / 2 + 0) / 3
    assert chrf("abc", "abd") == pytest.approx(5 * precision * recall / (4 * precision + recall))
    # ab against abab: letters 2/2 and 2/4, pairs 1/1 and 1/3; recall counts four times as much.
    precision, recall = 1.0, (2 / 4 + 1 / 3) / 2
    assert chrf("ab", "abab") == pytest.approx(5 * precision * recall / (4 * precision + recall))


@pytest.mark.parametrize(
    ("text", "reference", "score"),
    [
        ("", "", 0),
        ("a", "", 0),
        ("", "a", 0),
        ("a", "b", 0),
        ("a", "a", 1),
        ("a b", "ab", 1),
        ("A", "a", 0),
        (" ", " ", 0),
    ],
)
def test_chrf_at_its_edges(text: str, reference: str, score: float) -> None:
    assert chrf(text, reference) == score


def naive_chrf(text: str, reference: str) -> float:
    """Orders that both have, averaged before the F-score is taken, in percent as published."""
    said, wanted = text.replace(" ", ""), reference.replace(" ", "")
    precisions, recalls = [], []
    for size in range(1, 7):
        mine = [said[i : i + size] for i in range(len(said)) if i + size <= len(said)]
        yours = [wanted[i : i + size] for i in range(len(wanted)) if i + size <= len(wanted)]
        if mine and yours:
            left, both = list(yours), 0
            for one in mine:
                if one in left:
                    left.remove(one)
                    both += 1
            precisions.append(both / len(mine))
            recalls.append(both / len(yours))
    p, r = (sum(some) / len(some) if some else 0.0 for some in (precisions, recalls))
    return 100 * 5 * p * r / (4 * p + r) if p + r else 0.0


@given(st.text("abc ", max_size=25), st.text("abc ", max_size=25))
def test_chrf_is_what_a_plain_loop_gives(text: str, reference: str) -> None:
    assert 100 * chrf(text, reference) == pytest.approx(naive_chrf(text, reference))
    assert 0 <= chrf(text, reference) <= 1


def test_token_f1_by_hand() -> None:
    # shop opens at nine / it opens at ten: two in common of four each.
    assert token_f1("The shop opens at nine.", "It opens at ten") == pytest.approx(0.5)
    # counted as often as both have them: one yes of three, one of one.
    assert token_f1("yes yes yes", "yes") == pytest.approx(2 * (1 / 3) * 1 / (1 / 3 + 1))


@pytest.mark.parametrize(
    ("text", "reference", "score"),
    [
        ("", "", 1),
        ("a", "", 1),
        ("the", "an!", 1),
        ("x", "", 0),
        ("", "x", 0),
        ("It's nine", "its NINE!", 1),
        ("x", "y", 0),
    ],
)
def test_token_f1_at_its_edges(text: str, reference: str, score: float) -> None:
    assert token_f1(text, reference) == score


@given(st.lists(st.sampled_from("xyz"), max_size=8), st.lists(st.sampled_from("xyz"), max_size=8))
def test_token_f1_is_the_harmonic_mean_of_precision_and_recall(said: list[str], wanted: list[str]) -> None:
    score = token_f1(" ".join(said), " ".join(wanted))
    both = sum((Counter(said) & Counter(wanted)).values())
    if both:
        precision, recall = both / len(said), both / len(wanted)
        assert score == pytest.approx(2 * precision * recall / (precision + recall))
    assert score == token_f1(" ".join(wanted), " ".join(said))


def test_the_nearest_of_several_references_counts_and_none_is_not_applicable() -> None:
    samples = [plain("at nine", reference=["at ten", "at nine"]), plain("x", reference=None), plain("y", reference="y")]
    assert chrf_part().score(samples) == [1.0, None, 1.0]
    assert token_f1_part().score([plain("x", reference=[])]) == [None]
    assert chrf_part(column="answer", name="mine").score([plain("x", answer="x")]) == [1.0]


@pytest.mark.parametrize("reference", [7, ["a", 7], {"a": 1}])
def test_a_reference_that_is_no_text_names_row_and_column(reference: object) -> None:
    with pytest.raises(RewardError, match=r"'chrf', row 1: reference must be a text"):
        chrf_part().score([plain("x", reference="x"), plain("x", reference=reference)])


def test_a_column_that_is_not_there_names_row_and_column() -> None:
    with pytest.raises(RewardError, match=r"row 1: it needs the column 'reference', and there is facts"):
        chrf_part().score([plain("x", reference="x"), plain("x", facts="x")])


class Letters:
    """Embeds a text as its counts of a and b."""

    def encode(self, texts: list[str]) -> list[list[float]]:
        return [[text.count("a"), text.count("b")] for text in texts]


def test_embeddings_are_compared_by_their_cosine() -> None:
    samples = [
        plain("ab", reference="aabb"),
        plain("a", reference=["b", "ab"]),
        plain("a", reference=None),
        plain("", reference="a"),
    ]
    scores = EmbeddingSimilarity(Letters()).score(samples)
    assert scores == pytest.approx([1.0, 0.5**0.5, None, 0.0])
    assert EmbeddingSimilarity(Letters()).score([]) == []


def test_embeddings_that_are_none_are_refused() -> None:
    class Broken:
        def encode(self, texts: list[str]) -> list[list[float]]:
            return [[float("nan")]] * len(texts)

    with pytest.raises(RewardError, match="finite numbers"):
        EmbeddingSimilarity(Broken()).score([plain("a", reference="b")])


def test_sentences_are_embedded_by_a_model_of_a_folder(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="heeler[embeddings] is not installed")
    weight = save_tiny_embeddings(tmp_path / "model")
    a, b = (weight[letter] / np.linalg.norm(weight[letter]) for letter in "ab")
    samples = [plain("ab", reference="ba"), plain("ab", reference=["c", "abab"]), plain("a", reference="b")]
    for model in (tmp_path / "model", str(tmp_path / "model")):
        assert EmbeddingSimilarity(model).score(samples) == pytest.approx([1.0, 1.0, float(a @ b)], abs=1e-5)
    (tmp_path / "model" / "modules.json").write_text("{")
    with pytest.raises(ConfigError, match=r"model .* cannot be loaded"):
        EmbeddingSimilarity(tmp_path / "model").load()


def test_sentence_transformers_is_loaded_by_path_and_missed_clearly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys
    import types

    fake = types.ModuleType("sentence_transformers")
    loaded: list[str] = []

    def load(path: str) -> Letters:
        if path == "missing":
            raise OSError("no such model")
        loaded.append(path)
        return Letters()

    fake.SentenceTransformer = load  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sentence_transformers", fake)
    part = EmbeddingSimilarity("models/mini")
    part.score([plain("a", reference="a")])
    part.score([plain("a", reference="a")])
    assert loaded == ["models/mini"]
    EmbeddingSimilarity(tmp_path).load()
    assert loaded == ["models/mini", str(tmp_path)]
    with pytest.raises(ConfigError, match=r"there is no folder .*none"):
        EmbeddingSimilarity(tmp_path / "none").load()
    with pytest.raises(ConfigError, match="'missing' cannot be loaded"):
        EmbeddingSimilarity("missing").score([plain("a", reference="a")])
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ConfigError, match=r"heeler\[embeddings\]"):
        EmbeddingSimilarity("x").score([plain("a", reference="a")])
