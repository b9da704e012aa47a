"""The classifier: its formula by hand, its files, its fit, and what the shipped one was promised to be."""

import json
from pathlib import Path

import numpy as np
import pytest

from heeler.core.errors import CheckpointError, ConfigError, DataError
from heeler.safety.toxicity.classifier import CARD, WEIGHTS, ToxicityClassifier
from heeler.safety.toxicity.features import NUM_BUCKETS, sentence_features
from heeler.safety.toxicity.fitting import ToxicityFitConfig, fit_toxicity


def test_one_sentence_by_hand() -> None:
    features = sentence_features("ab cd")
    weight = np.zeros(NUM_BUCKETS, np.float32)
    weight[features.words[1]] = 2.0
    weight[features.context] = -1.0
    # The bags of two words and of a context do not share a bucket here, or the sums below would not hold.
    assert not set(features.context) & {*features.words[0], *features.words[1]}
    logit = 0.5 + max(0.0, 2.0 * len(features.words[1]) ** 0.5) - len(features.context) ** 0.5
    classifier = ToxicityClassifier(weight=weight, bias=0.5, threshold=0.5, card={})
    shared = len(set(features.words[0]) & set(features.words[1]))
    assert shared == 0
    assert classifier.sentence_probability("ab cd") == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-6)


def test_features_of_a_word_are_its_runs_of_letters() -> None:
    # <ab>: the word, <ab, ab>, <ab>
    assert len(sentence_features("ab").words[0]) == 4
    # ^ ab $: one word, two pairs, one triple
    assert len(sentence_features("ab").context) == 4
    assert len(sentence_features("").words) == 1


def test_the_most_toxic_sentence_counts() -> None:
    classifier = ToxicityClassifier.shipped()
    rude, kind = "You are so stupid.", "Your kettle comes on Monday."
    both = f"{kind} {rude} {kind}"
    assert classifier.probability(both) == pytest.approx(classifier.sentence_probability(f" {rude}"))
    assert classifier.probability("") == 0.0
    assert classifier.probability("\n \n") == 0.0


@pytest.mark.parametrize(
    "text",
    [
        *(
            "You are stupid.",
            "Shut up, loser.",
            "What a pathetic idiot you are!",
            "I hope you die.",
            "Nobody likes you.",
        ),
        *("y0u are st\u200bup1d", "YOU ARE USELESS", "Your question is so dumb that it hurts."),
    ],
)
def test_the_shipped_one_sees_what_is_rude(text: str) -> None:
    classifier = ToxicityClassifier.shipped()
    assert classifier.probability(text) >= classifier.threshold


@pytest.mark.parametrize(
    "text",
    [
        *(
            "The kettle costs 40 euros.",
            "I am sorry, I cannot give you another customer's data.",
            "How can I help you?",
        ),
        *(
            "The bass class in Scunthorpe begins at nine.",
            "You are welcome!",
            "I hope you have a nice day.",
            "Thank you.",
        ),
        *(
            "Nobody is at home on Sunday.",
            "You can send it back within 30 days.",
            "The assassin in the film is Mr. Hancock.",
        ),
    ],
)
def test_the_shipped_one_leaves_a_help_desk_alone(text: str) -> None:
    classifier = ToxicityClassifier.shipped()
    assert classifier.probability(text) < classifier.threshold


def test_the_shipped_one_is_small_and_says_where_it_comes_from() -> None:
    classifier = ToxicityClassifier.shipped()
    import heeler.safety.toxicity as room

    folder = Path(room.__file__).parent / "data"
    assert (folder / WEIGHTS).stat().st_size < 1_000_000
    assert {"origin", "limits", "command", "measured"} <= classifier.card.keys()
    assert classifier.card["measured"]["precision"] >= 0.95


def test_a_fit_learns_and_is_the_same_each_time() -> None:
    rude = [f"you {word} person" for word in ("bad", "vile", "nasty", "mean")]
    kind = [f"you {word} person" for word in ("good", "fine", "nice", "kind")]
    sentences, labels = rude + kind, [True] * 4 + [False] * 4
    weight, bias = fit_toxicity(sentences, labels, ToxicityFitConfig(num_epochs=20))
    again, _ = fit_toxicity(sentences, labels, ToxicityFitConfig(num_epochs=20))
    np.testing.assert_array_equal(weight, again)
    classifier = ToxicityClassifier(weight=weight, bias=bias, threshold=0.5, card={})
    assert [classifier.probability(text) >= 0.5 for text in sentences] == labels


@pytest.mark.parametrize(
    ("sentences", "labels", "message"),
    [(["a"], [], "every sentence"), (["a", "b"], [True, True], "only one kind"), ([], [], "only one kind")],
)
def test_labels_that_teach_nothing_are_refused(sentences: list[str], labels: list[bool], message: str) -> None:
    with pytest.raises(DataError, match=message):
        fit_toxicity(sentences, labels)


@pytest.mark.parametrize("setting", ["num_epochs", "learning_rate"])
def test_settings_out_of_range_are_refused(setting: str) -> None:
    with pytest.raises(ConfigError, match=setting):
        ToxicityFitConfig(**{setting: 0})
    with pytest.raises(ConfigError, match="weight_decay"):
        ToxicityFitConfig(weight_decay=-1)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    weight = np.linspace(-1, 1, NUM_BUCKETS, dtype=np.float32)
    ToxicityClassifier(weight=weight, bias=-1.5, threshold=0.7, card={"about": "a test"}).save(tmp_path)
    return tmp_path


def test_saved_and_read_back(saved: Path) -> None:
    back = ToxicityClassifier.load(saved)
    assert (back.bias, back.threshold, back.card["about"]) == (-1.5, 0.7, "a test")
    np.testing.assert_array_equal(
        back.weight, np.linspace(-1, 1, NUM_BUCKETS, dtype=np.float32).astype(np.float16).astype(np.float32)
    )


def test_a_torn_or_altered_file_is_refused(saved: Path) -> None:
    raw = (saved / WEIGHTS).read_bytes()
    (saved / WEIGHTS).write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    with pytest.raises(CheckpointError, match="is not the file"):
        ToxicityClassifier.load(saved)
    (saved / WEIGHTS).unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        ToxicityClassifier.load(saved)


def test_a_card_that_is_none_is_refused(saved: Path) -> None:
    (saved / CARD).write_text("{")
    with pytest.raises(CheckpointError, match="no toxicity classifier"):
        ToxicityClassifier.load(saved)
    (saved / CARD).write_text(json.dumps({"threshold": 0.5}))
    with pytest.raises(CheckpointError, match="no toxicity classifier"):
        ToxicityClassifier.load(saved)
