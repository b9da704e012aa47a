"""The answers that came since the last update, as monitors see them."""

from collections.abc import Mapping, Sequence

from heeler.core.nouns import Feedback, PreferenceChoice, Query
from heeler.oversight.monitors.seen import Answer


class NewAnswers:
    """Gathers answers until they are taken.

    Args:
        wanted: whether anybody takes them.
    """

    def __init__(self, *, wanted: bool) -> None:
        self.wanted = wanted
        self._answers: list[Answer] = []

    def add(self, found: Sequence[Feedback], queries: Mapping[str, Query], foretold: Mapping[str, bool]) -> None:
        """Take in what came, first answers to a query and others alike.

        Args:
            found: in the order in which they came.
            queries: that are known, by id; answers to others are none of this run's.
            foretold: by the answer's key, whether the learned reward would have given it; others are not known.
        """
        if not self.wanted:
            return
        for feedback in found:
            query = queries.get(feedback.query_id)
            if query is None:
                continue
            left, right = query.segment_ids
            self._answers.append(
                Answer(
                    annotator=feedback.annotator,
                    choice=feedback.value["choice"],
                    left=left,
                    right=right,
                    time_taken_s=feedback.time_taken_s,
                    is_foretold=foretold.get(feedback.key),
                )
            )

    def take(self) -> tuple[Answer, ...]:
        """All that came since it was last asked."""
        taken, self._answers = tuple(self._answers), []
        return taken


def is_foretold(left: float, right: float, choice: PreferenceChoice) -> bool | None:
    """Whether a segment with the higher return was named; None where none was."""
    return (left > right) == (choice == "left") if choice in ("left", "right") else None
