"""The recipe `overseers`: overseers and attackers that learned against each other; a fresh attacker judges each team.

Prints {"TEAM": {figure: value}} of every team, and "frontier".
"""

import argparse
import json
import sys

import torch

from heeler.loop.overseers.comparing import compare
from heeler.recipes.overseers import overseers


def main() -> None:
    """Learn, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--quick", action="store_true", help="a smoke test of which the figures say nothing")
    options = parser.parse_args()
    torch.set_num_threads(1)
    comparison = compare(
        overseers(quick=options.quick),
        options.seed,
        tell=lambda words: print(words, file=sys.stderr, flush=True),
    )
    print(json.dumps(comparison.to_dict()))


if __name__ == "__main__":
    main()
