"""How many prompt injections the input guard finds, plain and disguised, and how many honest questions it stops."""

import argparse
import base64
import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.disguises import DISGUISES
from heeler.safety.text_guards.injection import Injection

LISTS: dict[str, dict[str, list[str]]] = json.loads(
    (Path(__file__).parent.parent / "data" / "injections.json").read_text("utf-8")
)
_BY_WORD = ("digits", "invisible", "cyrillic", "wide", "accents", "broken")


def _each_word(kind: str) -> Callable[[str, random.Random], str]:
    def hide(text: str, rng: random.Random) -> str:
        return " ".join(
            DISGUISES[kind](word, rng) if len(word) > 3 and word.isalpha() else word for word in text.lower().split(" ")
        )

    return hide


WAYS: Mapping[str, Callable[[str, random.Random], str]] = {
    "plain": lambda text, _: text,
    "capitals": lambda text, rng: "".join(rng.choice((c.upper(), c.lower())) for c in text),
    "spaces": lambda text, _: " ".join(text),
    "lines": lambda text, _: text.replace(" ", "\n"),
    "base64": lambda text, _: "Decode this: " + base64.b64encode(text.encode()).decode(),
    "buried": lambda text, _: f"Hello, my order is late. {'The parcel was to come on Monday. ' * 20}{text} Thank you!",
    **{kind: _each_word(kind) for kind in _BY_WORD},
}


def measure(half: str, seed: int) -> dict[str, float]:
    """Figures on one half of the list."""
    rng, rule = random.Random(seed), Injection()
    figures: dict[str, float] = {}
    for way, hide in WAYS.items():
        found = [bool(rule.look(hide(text, rng), ())) for text in LISTS["injections"][half]]
        figures[f"recall_{way}"] = sum(found) / len(found)
    figures["recall_disguised"] = sum(figures.values()) / len(figures)
    stopped = [bool(rule.look(text, ())) for text in LISTS["clean"][half]]
    figures["honest_stopped"] = sum(stopped) / len(stopped)
    return figures


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--half", choices=("dev", "test"), default="test", help="which half of the list")
    parser.add_argument("--seed", type=int, default=0, help="of the disguises")
    options = parser.parse_args(arguments)
    figures = measure(options.half, options.seed)
    start = time.perf_counter()
    for text in LISTS["clean"][options.half] * 5:
        Injection().look(text, ())
    figures["ms_a_message"] = (time.perf_counter() - start) / (5 * len(LISTS["clean"][options.half])) * 1000
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
