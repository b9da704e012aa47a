"""Overseers that learn against attackers who learn to slip past them, in a closed world; see docs/overseers.md.

`python -m heeler.recipes.overseers FOLDER` learns both sides and writes what came of it, in about three minutes on one
core: `figures.json`, `report.html` with the frontier of safety against usefulness, and the overseers themselves, which
a run names by the folder (`overseers.learned`).
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from heeler.core.errors import HeelerError
from heeler.loop.config import check_seed
from heeler.loop.overseers.comparing import TOGETHER, compare, write_comparison
from heeler.loop.overseers.learning import OversightConfig
from heeler.oversight.overseers.quorum import QuorumConfig


def overseers(*, quick: bool = False) -> OversightConfig:
    """Settings that are known to do.

    Args:
        quick: a smoke test of some seconds, of which the figures say nothing.
    """
    config = OversightConfig()
    if not quick:
        return config
    return replace(
        config, num_rounds=1, num_games=16, attacker_updates=1, overseer_updates=1, final_updates=1, num_judged=32
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Learn, and write what came of it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m heeler.recipes.overseers", description=__doc__)
    parser.add_argument("folder", type=Path, help="where figures and page are written")
    parser.add_argument("--seed", type=int, default=0, help="everything random follows from it")
    parser.add_argument("--rate", type=float, default=OversightConfig.rate, help="honest steps that may be vetoed")
    parser.add_argument(
        "--rule",
        choices=("any", "majority", "unanimous"),
        default="any",
        help="how many overseers must object for a veto",
    )
    parser.add_argument("--quick", action="store_true", help="a smoke test of which the figures say nothing")
    options = parser.parse_args(arguments)
    # Networks as small as these are faster on one.
    torch.set_num_threads(1)
    try:
        check_seed(options.seed)
        config = replace(overseers(quick=options.quick), rate=options.rate, quorum=QuorumConfig(rule=options.rule))
        comparison = compare(config, options.seed, tell=lambda words: print(words, file=sys.stderr, flush=True))
        page = write_comparison(options.folder, config, options.seed, comparison)
    except (HeelerError, OSError) as error:
        print(f"heeler: {error}", file=sys.stderr)
        return 2
    own = comparison.figures[TOGETHER]
    print(
        f"Attacks that succeeded: {own.attack_success:.1%}; honest steps vetoed: {own.false_positive_rate:.1%}; "
        f"usefulness kept: {own.usefulness:.1%}\nReport: {page}\nFor runs: overseers.learned={options.folder}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
