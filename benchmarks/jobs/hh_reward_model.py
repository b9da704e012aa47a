"""Reward models cross-validated by prompt: the recipe as it stands, a bag of words, with `--small` a language model.

Every choice that depends on the data, the ridge and the temperature among them, is made within the training folds;
the small language model sees no text of the fold that it is judged by. Prints one JSON object of figures.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from heeler.core.nouns import Message
from heeler.core.rundir import RunDirectory
from heeler.core.text_data import TextPair
from heeler.feedback.datasets import Dataset, folds, read_pairs
from heeler.loop.config import to_dict
from heeler.loop.reward_agreement import Agreement, agreement_of
from heeler.loop.reward_config import RewardRunConfig
from heeler.loop.reward_run import RewardRun, Sources
from heeler.models.language.small import SmallModelConfig
from heeler.models.ngrams import NgramConfig
from heeler.recipes import reward_model
from heeler.rewards.reward_settings import RewardModelConfig

BAG_OF_WORDS = RewardModelConfig(num_heads=1, ngrams=NgramConfig(word_lengths=(1,), letter_lengths=()))


def main() -> None:
    """Fit, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="pairs, in any format that the recipe reads")
    parser.add_argument("--made", action="store_true", help="a few pairs that are made here, and a tiny model")
    parser.add_argument("--small", action="store_true", help="a small language model too, which takes hours")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if bool(arguments.data) == arguments.made:
        parser.error("give one of --data and --made")
    pairs = made_pairs() if arguments.made else read_pairs(arguments.data).items
    recipe = reward_model(data=arguments.data or "made", seed=arguments.seed)
    configs = {"bag_of_words_": replace(recipe, model=BAG_OF_WORDS), "": recipe}
    if arguments.small:
        configs["small_"] = small_model(recipe.data, arguments.seed, tiny=arguments.made)
    figures: dict[str, float] = {"pairs": float(len(pairs))}
    for name, config in configs.items():
        found = cross_validated(config, pairs, num_folds=arguments.folds)
        figures |= {f"{name}{figure}": value for figure, value in figures_of(found).items()}
        print(f"  {name}accuracy {found.accuracy.mean:.4f}", file=sys.stderr, flush=True)
    figures["shorter_accuracy"] = found.shorter.mean
    print(json.dumps(figures))


def small_model(data: str, seed: int, *, tiny: bool) -> RewardRunConfig:
    """The recipe with a language model that is made and trained from nothing within each fold."""
    small = reward_model(data=data, model="small", seed=seed)
    if not tiny:
        return small
    assert small.trunk is not None
    size = SmallModelConfig(vocabulary_size=300, hidden_size=16, num_layers=1, num_attention_heads=2)
    return replace(small, trunk=replace(small.trunk, made=size, num_pretraining_epochs=1))


def cross_validated(config: RewardRunConfig, pairs: Sequence[TextPair], *, num_folds: int) -> Agreement:
    """Every pair judged once, by a model that has seen nothing of its prompt."""
    margins: list[np.ndarray] = []
    judged: list[TextPair] = []
    for number, (kept, held_out) in enumerate(folds(pairs, num_folds=num_folds, seed=config.seed)):
        dataset = Dataset(items=tuple(kept), num_rows=len(kept), dropped={})
        with tempfile.TemporaryDirectory(prefix="heeler-benchmark-") as folder:
            directory = RunDirectory.create(Path(folder) / "run", to_dict(config))
            # The folder's lock makes the places that checkpoints need.
            with directory.locked():
                run = RewardRun(directory, config, Sources(dataset=dataset, pairs=kept, held_out=held_out, trunk=None))
                run.begin()
                while not run.is_finished:
                    run.iterate()
            assert run.state is not None
            margins.append(run.state.reward.margins(held_out))
        judged += held_out
        right = np.mean(margins[-1] > 0)
        print(f"  fold {number + 1} of {num_folds}: {right:.4f} of {len(held_out)}", file=sys.stderr, flush=True)
    return agreement_of(np.concatenate(margins).astype(np.float64), judged, config.seed)


def figures_of(found: Agreement) -> dict[str, float]:
    """What is told of each model."""
    return {
        "accuracy": found.accuracy.mean,
        "accuracy_low": found.accuracy.low,
        "accuracy_high": found.accuracy.high,
        "log_loss": found.calibration.log_loss,
        "calibration_error": found.calibration.expected_error,
    }


def made_pairs(num: int = 80) -> tuple[TextPair, ...]:
    """Pairs of which the better text is polite."""
    random = np.random.default_rng(0)
    words = ("fine", "sorry", "please"), ("no", "stupid", "go"), ("it", "is", "and", "so", "the", "then")

    def text(kind: int) -> str:
        return " ".join(random.choice(words[kind if random.random() < 0.3 else 2]) for _ in range(8))

    return tuple(
        TextPair(
            prompt=(Message(role="user", content=f"Question {number}?"),),
            chosen=f"{text(0)}.",
            rejected=f"{text(1)}!",
            place=f"made, line {number + 1}",
        )
        for number in range(num)
    )


if __name__ == "__main__":
    main()
