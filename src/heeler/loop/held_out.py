"""People whose answers a run's reward never learns from, so that it can be held against them."""

import hashlib
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from heeler.core.errors import ConfigError
from heeler.feedback.told import ONLY_HELD_OUT

if TYPE_CHECKING:
    # What reads a configuration alone needs no database.
    from heeler.feedback.store import Store


def is_held_out_person(annotator: str, seed: int, share: float) -> bool:
    """Whether somebody is held out: by id and seed alone, so that it stays as it is whoever joins or is forgotten.

    Args:
        annotator: their id.
        seed: of the run.
        share: of all people that is to be held out.
    """
    digest = hashlib.sha256(f"held out|{seed}|{annotator}".encode()).digest()
    return int.from_bytes(digest[:8], "little") < share * 2**64


def check_held_out(people: Collection[str], seed: int, share: float) -> None:
    """Refuse a share that holds out nobody, or everybody, of a simulated crowd.

    Raises:
        ConfigError: it does.
    """
    number = sum(is_held_out_person(person, seed, share) for person in people)
    if share and number in (0, len(people)):
        raise ConfigError(
            f"preferences.held_out_people: {share} holds out {number} of the crowd's {len(people)} people, by their "
            "ids and the seed; set another share or seed, or make the crowd larger"
        )


def refuse_all_held_out(people: Collection[str], seed: int, share: float) -> None:
    """Refuse to ask people all of whom are held out: the run would wait for others for ever.

    Args:
        people: ids of those who may answer; nothing is known where there are none yet.
        seed: of the run.
        share: of all people that is to be held out.

    Raises:
        ConfigError: they are.
    """
    if people and all(is_held_out_person(person, seed, share) for person in people):
        who = "the one person who may answer" if len(people) == 1 else f"all {len(people)} people who may answer"
        raise ConfigError(
            f"preferences.held_out_people: {share} holds out {who}, by id and seed, so that the run would wait for "
            "others for ever; set it to 0, set another seed, or add people first"
        )


def only_held_out(row: Mapping[str, float]) -> str | None:
    """In words that people who are held out alone have answered, in a row of metrics; None where that is not so."""
    number = int(row.get("held_out_answers", 0))
    if not number or row.get("answered", 0):
        return None
    came = "the one answer that came is" if number == 1 else f"all {number:,} answers that came are"
    return f"{came} by people who are held out (preferences.held_out_people) and teach nothing: others must answer"


class HeldOutNotice:
    """Tells those who look at the store while people who are held out alone have answered.

    Args:
        store: of the run.
    """

    def __init__(self, store: "Store") -> None:
        self._store, self._told = store, -1

    def tell(self, num_held_out: int, num_others: int) -> None:
        """So many answers are by people who are held out, and so many by others."""
        number = 0 if num_others else num_held_out
        if number != self._told:
            self._store.set_setting(ONLY_HELD_OUT, number or None)
            self._told = number
