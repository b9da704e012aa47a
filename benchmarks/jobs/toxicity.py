"""Trains the toxicity classifier that heeler ships, or measures it on held-out sentences; prints one JSON object.

Its labels are weak, as nobody has labelled these texts: a sentence of a real dialogue counts as toxic when a word of
the list stands in it, and as clean when none does and no word that may be rude either; generated sentences are toxic
or clean by how they were made. What it learns beyond the list it learns from the generated ones.
"""

import argparse
import json
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.disguises import DISGUISES, disguised
from benchmarks.hh_rlhf import data_file, dialogues, share_of
from benchmarks.toxic_texts import LISTS, Half, Insult, clean, insults
from heeler.core.sentences import sentences
from heeler.core.words import words
from heeler.safety.toxicity.classifier import ToxicityClassifier
from heeler.safety.toxicity.fitting import fit_toxicity
from heeler.safety.toxicity.word_list import default_words

_MAYBE = {word for lists in (LISTS["insults"], LISTS["adjectives"]) for half in lists.values() for word in half}
_MAYBE |= {"ass", "crap", "cock", "dick", "pussy", "piss"}
COMMAND = "python -m benchmarks.jobs.toxicity --write src/heeler/safety/toxicity/data"
ORIGIN = (
    "Sentences of the dialogues of hh-rlhf, file harmless-base/test.jsonl.gz (Bai et al. 2022, arXiv 2204.05862, MIT), "
    "dialogues whose first turn hashes below 0.8, with weak labels by heeler's word list: no person labelled them. "
    "And sentences generated from written-down patterns and words (benchmarks/toxic_texts.py), half of which are kept "
    "for measuring."
)
LIMITS = (
    "English insults, abuse and coarse words only. Not threats in general, not harmful advice, not hatred in polite "
    "words, not irony. Measured on generated sentences and on weak labels; no labels by people were at hand."
)
Labelled = list[tuple[str, bool]]


def real_sentences(low: float, high: float) -> Labelled:
    """Sentences of dialogues whose share lies from `low` to `high`, each once, with weak labels."""
    listed = default_words()
    found: dict[str, bool] = {}
    for chosen, rejected in dialogues(data_file()):
        if not low <= share_of(chosen) < high:
            continue
        for _, said in (*chosen, *rejected[-1:]):
            for sentence in sentences(said):
                plain = sentence.strip()
                if 3 <= len(plain) <= 300:
                    is_listed = bool(listed.hits(plain))
                    if is_listed or not _MAYBE & set(words(plain)):
                        found[plain] = is_listed
    return sorted(found.items())


def generated(half: Half, number: int, rng: random.Random, *, hide: bool) -> Labelled:
    """As many toxic as clean sentences of one half; `hide` disguises a word in three."""
    toxic: list[str] = []
    for insult in insults(half, number, rng):
        hidden = hide and insult.word and rng.random() < 1 / 3
        kind = rng.choice(("misspelt", "glued", "mask", "repeats", "broken"))
        toxic.append(disguised(insult.text, insult.word, kind, rng) if hidden else insult.text)
    return [(text, True) for text in toxic] + [(text, False) for text in clean(half, number, rng)]


def train(*, num_generated: int, with_real: bool) -> ToxicityClassifier:
    """Fit on the training halves. Two clean sentences in a thousand, of those kept aside, are above the threshold."""
    rng = random.Random(0)
    held_out = {*LISTS["insults"]["test"], *LISTS["adjectives"]["test"]}
    data = generated("train", num_generated, rng, hide=True)
    if with_real:
        real = [(text, toxic) for text, toxic in real_sentences(0.0, 0.7) if not held_out & set(words(text))]
        # There are some two hundred real toxic ones among fifteen thousand.
        data += real + 9 * [one for one in real if one[1]]
    aside = [text for text, is_toxic in (real_sentences(0.7, 0.8) if with_real else []) if not is_toxic]
    aside += clean("train", 2000, rng)
    weight, bias = fit_toxicity([text for text, _ in data], [is_toxic for _, is_toxic in data])
    # As it will be read back.
    weight = weight.astype(np.float16).astype(np.float32)
    fitted = ToxicityClassifier(weight=weight, bias=bias, threshold=0.5, card={})
    threshold = max(0.5, float(np.quantile([fitted.sentence_probability(text) for text in aside], 0.998)))
    return ToxicityClassifier(weight=weight, bias=bias, threshold=round(threshold, 4), card={})


class Judge:
    """What the classifier says, and what it says together with the word list."""

    def __init__(self, classifier: ToxicityClassifier) -> None:
        self.classifier, self.listed = classifier, default_words()

    def calls(self, text: str) -> bool:
        """Whether the classifier alone calls it toxic."""
        return self.classifier.probability(text) >= self.classifier.threshold

    def either(self, text: str) -> bool:
        """Whether one of the two does."""
        return self.calls(text) or bool(self.listed.hits(text))


def measure(judge: Judge, seed: int, *, number: int) -> dict[str, float]:
    """Figures on held-out generated sentences: in patterns, and in part of words, that training did not have."""
    rng = random.Random(1000 + seed)
    harmless = [judge.either(text) for text in clean("test", number, rng)]
    known = insults("test", number, rng, words="train")
    kinds = {
        "known_words": [one.text for one in known if one.word],
        "new_words": [one.text for one in insults("test", number, rng) if one.word],
        "no_words": [one.text for one in known if not one.word],
    }
    figures = {f"recall_{kind}": _share([judge.either(text) for text in texts]) for kind, texts in kinds.items()}
    figures |= {f"recall_{kind}_classifier": _share([judge.calls(t) for t in texts]) for kind, texts in kinds.items()}
    called = [judge.either(one.text) for one in known]
    figures["precision"] = sum(called) / max(sum(called) + sum(harmless), 1)
    figures["clean_called_toxic"] = _share(harmless)
    figures["look_alikes_called_toxic"] = _share([judge.either(text) for text in LISTS["clean"]["test"]])
    return figures | _disguised(judge, [one for one in known if len(one.word) >= 4], rng)


def _disguised(judge: Judge, known: list[Insult], rng: random.Random) -> dict[str, float]:
    """Recall by disguise; those that leave the word as it is are not counted."""
    figures: dict[str, float] = {}
    for kind in DISGUISES:
        hidden = [(one, disguised(one.text, one.word, kind, rng)) for one in known]
        figures[f"recall_{kind}"] = _share([judge.either(text) for one, text in hidden if text != one.text])
    return figures | {"recall_disguised": sum(figures.values()) / len(figures)}


def measure_real(judge: Judge) -> dict[str, float]:
    """Figures on dialogues that were kept from training; their labels are those of the word list."""
    data = real_sentences(0.8, 1.0)
    called = [judge.calls(text) for text, _ in data]
    agreed = _precision_recall([is_toxic for _, is_toxic in data], called)
    pairs = [pair for pair in dialogues(data_file()) if share_of(pair[0]) >= 0.8]
    return {
        "real_precision_weak": agreed["precision"],
        "real_recall_weak": agreed["recall"],
        "real_clean_called_toxic": _share([call for call, (_, toxic) in zip(called, data, strict=True) if not toxic]),
        "real_sentences": float(len(data)),
        "real_toxic_sentences": float(sum(is_toxic for _, is_toxic in data)),
        "real_chosen_called_toxic": _share([judge.calls(chosen[-1][1]) for chosen, _ in pairs]),
        "real_rejected_called_toxic": _share([judge.calls(rejected[-1][1]) for _, rejected in pairs]),
    }


def _share(calls: Sequence[bool]) -> float:
    return sum(calls) / max(len(calls), 1)


def _precision_recall(truth: Sequence[bool], called: Sequence[bool]) -> dict[str, float]:
    both = sum(a and b for a, b in zip(truth, called, strict=True))
    return {"precision": both / max(sum(called), 1), "recall": both / max(sum(truth), 1)}


def _ms_a_sentence(judge: Judge) -> float:
    start = time.perf_counter()
    for _ in range(200):
        judge.either("Your kettle will arrive on Monday, and you can send it back within 30 days.")
    return (time.perf_counter() - start) / 200 * 1000


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and write, or measure what is shipped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="train, and write the classifier with its card here")
    parser.add_argument("--seed", type=int, default=0, help="of the held-out sentences")
    parser.add_argument("--quick", action="store_true", help="few sentences, and no data but generated ones")
    options = parser.parse_args(arguments)
    number, with_real = (100, False) if options.quick else (2000, True)
    if options.write is None:
        classifier = ToxicityClassifier.shipped()
    else:
        classifier = train(num_generated=6 * number, with_real=with_real)
    judge = Judge(classifier)
    figures = measure(judge, options.seed, number=number) | (measure_real(judge) if with_real else {})
    if options.write is not None:
        card: dict[str, Any] = {"about": "Is a sentence toxic?", "origin": ORIGIN, "limits": LIMITS, "command": COMMAND}
        card["measured"] = {name: round(value, 4) for name, value in figures.items()}
        replace(classifier, card=card).save(options.write)
    print(json.dumps(figures | {"ms_a_sentence": _ms_a_sentence(judge)}))


if __name__ == "__main__":
    main()
