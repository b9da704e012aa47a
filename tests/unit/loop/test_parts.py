"""What a run carries beside its learner, as a checkpoint keeps it."""

from typing import Any

import numpy as np

from heeler.loop.parts import Arrays, Kept, Part, kept_of, restore


class Counter(Part):
    name = "costs"

    def __init__(self, counts: list[int]) -> None:
        self.counts, self.told = np.array(counts), None

    @property
    def prefix(self) -> str:
        return "own_costs."

    def kept(self) -> Kept:
        return {"counts": self.counts}, {"num": len(self.counts)}

    def restore(self, arrays: Arrays, state: Any) -> None:
        self.counts, self.told = arrays["counts"], state


class Silent(Part):
    name = "shield"


def test_parts_are_kept_under_their_names_and_go_on_from_there():
    arrays, states = kept_of([Silent(), Counter([1, 2])])
    assert list(arrays) == ["own_costs.counts"]
    # What a run does not have is told as None, and who has nothing to tell is not told of.
    absent = ("returns", "preferences", "overseers", "holding", "watch", "shaping")
    assert states == {"costs": {"num": 2}} | dict.fromkeys(absent)
    other = Counter([])
    restore([other, Silent()], arrays | {"learner.counts": np.zeros(3)}, states)
    assert other.counts.tolist() == [1, 2]
    assert other.told == {"num": 2}


def test_a_part_that_is_younger_than_the_checkpoint_is_told_so():
    part = Counter([])
    restore([part], {"own_costs.counts": np.ones(1)}, {})
    assert part.told is None
