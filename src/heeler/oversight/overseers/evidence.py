"""What overseers are shown: a step before it is carried out, or a text before it leaves.

Shapes: N copies of a world, O observation numbers, A action numbers.
"""

import itertools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from heeler.core.texts import TextSample
from heeler.core.verdict import Verdict

ALLOW = Verdict(decision="allow")


def all_allowed(verdicts: Sequence[Verdict]) -> bool:
    """Whether each is `ALLOW` itself, as it nearly always is: in a tenth of the time that looking at them takes."""
    return all(map(operator.is_, verdicts, itertools.repeat(ALLOW)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """One step that an agent proposes, or one text: to be looked at, and not to be written to."""

    step: int = 0
    """Environment steps of the run so far, over all copies; 0 for texts."""
    observation: np.ndarray | None = None
    """[O] what the agent saw; None for texts."""
    action: np.ndarray | None = None
    """[A] what it is about to do; None for texts."""
    spent: Mapping[str, float] = field(default_factory=dict[str, float])
    """What was used up, this step included: in its episode, or by the whole run (`oversight.overseers.resources`)."""
    sample: TextSample | None = None
    """The text with what it answers; None for steps."""

    def __post_init__(self) -> None:
        for name in ("observation", "action"):
            if (array := getattr(self, name)) is not None:
                object.__setattr__(self, name, _fixed(array))


@dataclass(frozen=True, kw_only=True, eq=False)
class Proposals:
    """One step of all copies of a world, before it is carried out: to be looked at, and not to be written to."""

    step: int
    """Environment steps of the run so far, over all copies."""
    observation: np.ndarray
    """[N, O]."""
    action: np.ndarray
    """[N, A]."""
    spent: Mapping[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])
    """[N] each: as of `Evidence`."""
    previous: tuple[np.ndarray, np.ndarray] | None = None
    """[N, O] and [N, A]: the step before, as it was carried out; None at first."""
    is_first: np.ndarray | None = None
    """[N] bool: the episode begins here, so that nothing led here from the step before; None at first."""
    copies: np.ndarray | None = None
    """[N] which copies of the run's world these are; None for all of them, in order."""
    sums: np.ndarray | None = None
    """What learned overseers have summed up of the episode of every copy of the run's world, for them to add to; None
    for nothing yet."""

    def __len__(self) -> int:
        return len(self.action)

    def __post_init__(self) -> None:
        object.__setattr__(self, "observation", _fixed(self.observation))
        object.__setattr__(self, "action", _fixed(self.action))
        object.__setattr__(self, "spent", {name: _fixed(values) for name, values in self.spent.items()})
        if self.previous is not None:
            object.__setattr__(self, "previous", (_fixed(self.previous[0]), _fixed(self.previous[1])))

    def row(self, number: int) -> Evidence:
        """The step of one copy."""
        spent = {name: float(values[number]) for name, values in self.spent.items()}
        return Evidence(step=self.step, observation=self.observation[number], action=self.action[number], spent=spent)


def _fixed(array: np.ndarray) -> np.ndarray:
    """The array, not to be written to: what is judged is what is carried out."""
    seen = array.view()
    seen.flags.writeable = False
    return seen


class Overseer(Protocol):
    """Looks by one charge. One that raises, or takes too long, has vetoed.

    One that has an attribute `is_bounded` which is true says of itself that it cannot take too long, nor end the thread
    that it is asked in; it is asked without a deadline.
    """

    @property
    def name(self) -> str:
        """By which its verdicts are told."""
        ...

    def review(self, evidence: Evidence) -> Verdict:
        """Judge a step or a text; the `replacement` of a `modify` is an action [A], or a text."""
        ...


@runtime_checkable
class BatchOverseer(Protocol):
    """An overseer that judges all copies of a world at once, which is faster than one by one."""

    def review_all(self, proposals: Proposals) -> Sequence[Verdict]:
        """N verdicts."""
        ...
