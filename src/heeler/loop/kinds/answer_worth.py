"""What every single answer said, in bits, as a checkpoint of a run of all kinds has it."""

import math
from collections import defaultdict
from dataclasses import dataclass

from heeler.core.errors import ConfigError, RunError
from heeler.core.rundir import Checkpoint, RunDirectory
from heeler.loop.kinds.ledger import Ledger


@dataclass(frozen=True, kw_only=True)
class AnswerWorth:
    """One answer."""

    position: int
    """In the store."""
    query_id: str
    kind: str
    person: str
    seconds: float
    """Of the person's time."""
    bits: float | None
    """That it said to an ensemble that did not know it, its marks added up; 0 where it says nothing of the reward, or
    is not learned from, and None where it came before there was anything to compare with."""

    @property
    def bits_per_s(self) -> float | None:
        """Bits for a second of the person's time."""
        return None if self.bits is None or not self.seconds else self.bits / self.seconds


def worth_of_answers(checkpoint: Checkpoint) -> list[AnswerWorth]:
    """All answers that a run of all kinds had taken in, those that said most first."""
    state, ledger = checkpoint.state["kinds"], Ledger()
    ledger.load(state["ledger"])
    bits_of: dict[str, list[float]] = defaultdict(list)
    for key, bits in zip(state["answers"], state["bits"], strict=True):
        bits_of[key].append(math.nan if bits is None else bits)
    found = [
        AnswerWorth(
            position=position,
            query_id=one.query_id,
            kind=one.kind,
            person=one.person,
            seconds=one.seconds,
            bits=_known(math.fsum(bits_of[one.key])),
        )
        for position, one in ledger.taken.items()
    ]
    return sorted(found, key=lambda one: (one.bits is None, -(one.bits or 0.0), one.position))


def worth_in_run(directory: RunDirectory) -> list[AnswerWorth]:
    """As `worth_of_answers`, by a run's newest sound checkpoint.

    Raises:
        ConfigError: the run does not learn from all kinds of answers.
        RunError: no checkpoint is sound yet.
    """
    checkpoint, _ = directory.newest_checkpoint()
    if directory.config().get("kinds") is None:
        raise ConfigError(
            f"{directory.path} does not learn from all kinds of answers, so that nobody knows what one said; start a "
            "run of the recipe kinds"
        )
    if checkpoint is None:
        raise RunError(f"{directory.path} has no sound checkpoint yet; what answers said is kept with one")
    return worth_of_answers(checkpoint)


def _known(bits: float) -> float | None:
    return None if math.isnan(bits) else bits
