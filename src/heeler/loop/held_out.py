"""People whose answers a run's reward never learns from, so that it can be held against them."""

import hashlib
from collections.abc import Collection

from heeler.core.errors import ConfigError


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
