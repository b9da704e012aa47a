"""Where the learner stands when each group has its turn: where it stood before the first, and so it is after the last.

A policy that has settled on what one group wants hardly moves in the next one's turn, which would then seem to have
little to hope for.
"""

from typing import Any

from torch import Tensor

from heeler.algorithms.learner import Learner
from heeler.loop.grouping import Grouping
from heeler.loop.parts import Arrays, Kept, Part
from heeler.loop.tensors import to_arrays, to_tensors


class GroupTurns(Part):
    """Puts the learner back between the turns of groups.

    Args:
        grouping: says whose turn it is.
    """

    name = "group_turns"

    def __init__(self, grouping: Grouping) -> None:
        self._grouping = grouping
        self._whose: int | None = None
        self._before: dict[str, Tensor] = {}

    def begin(self, learner: Learner, state: Any) -> tuple[Any, bool]:
        """The state that is to act and learn now, and whether it was put back; asked before each rollout."""
        whose, is_back = self._grouping.turn, False
        if whose != self._whose:
            if self._whose is None:
                self._before = _copied(learner.tensors(state))
            else:
                state, is_back = learner.load_tensors(state, _copied(self._before)), True
            self._before = {} if whose is None else self._before
            self._whose = whose
        return state, is_back

    def begin_anew(self, learner: Learner, state: Any) -> None:
        """A fresh policy has taken over for good: it is the one that turns go back to."""
        if self._whose is not None:
            self._before = _copied(learner.tensors(state))

    def kept(self) -> Kept:
        """Where the learner stood, while groups have their turns."""
        return to_arrays(self._before), self._whose

    def restore(self, arrays: Arrays, state: Any) -> None:
        """Go on from what `kept` returned."""
        self._before, self._whose = to_tensors(arrays), state


def _copied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in tensors.items()}
