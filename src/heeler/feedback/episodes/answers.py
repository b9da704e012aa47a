"""Demonstrations that people gave in a run: the segments that their answers of that kind name."""

import numpy as np

from heeler.core.demonstrations import Demonstration, Demonstrations
from heeler.core.errors import DataError
from heeler.core.nouns import Segment
from heeler.core.rundir import RunDirectory
from heeler.feedback.store import Store
from heeler.feedback.stores import control_segments, every_answer, has_store, open_store


def load_answers(directory: RunDirectory) -> Demonstrations:
    """What people showed in a run, in the order of their answers; each segment once.

    Raises:
        DataError: the run has no store, or nobody has shown anything in it.
    """
    source = str(directory.path)
    if not has_store(directory):
        raise DataError(f"{source}: it has no store yet, in which demonstrations could be")
    with open_store(directory) as store:
        segments = shown_segments(store)
    if not segments:
        raise DataError(f"{source}: nobody has shown anything there yet; its store holds no demonstration")
    return Demonstrations(
        episodes=tuple(as_demonstration(one) for one in segments), env_id=segments[0].env_id, source=source
    )


def shown_segments(store: Store) -> list[Segment]:
    """The segments that demonstrations name; answers that were withdrawn are not among them."""
    shown = (one for _, one in every_answer(store) if one.kind == "demonstration")
    ids = dict.fromkeys(str(one.value["segment_id"]) for one in shown)
    # Texts are shown in stores of language models; they are no demonstration of a world.
    facts = store.segment_facts(ids)
    wanted = [name for name in ids if not facts[name].is_text]
    found = control_segments(store, wanted)
    return [found[name] for name in wanted]


def as_demonstration(segment: Segment) -> Demonstration:
    """A segment as an episode. It does not say how it ended: it counts as cut, so that its end has a value."""
    return Demonstration(
        observation=np.concatenate([segment.observation, segment.next_observation[-1:]]),
        action=segment.action,
        terminated=False,
        reward=None if segment.true_reward is None else segment.true_reward.astype(np.float64),
    )
