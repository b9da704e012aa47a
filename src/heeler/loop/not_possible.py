"""Answers that name what is no action of the world: left out of what is learned from, and told of.

None come in any more; stores of earlier versions may hold some, and those into which answers came before a learner.
"""

from heeler.core.errors import DataError
from heeler.core.nouns import Feedback, Segment
from heeler.feedback.action_bounds import ActionBounds


class NotPossible:
    """Those of one run."""

    def __init__(self) -> None:
        self.num_left_out = 0
        self._has_warned = False

    def passes(self, answer: Feedback, bounds: ActionBounds | None, shown: Segment | None = None) -> bool:
        """Whether the world has what an answer says is to be done; counted where it has not.

        Args:
            answer: of any kind; a correction names an action.
            bounds: of the world's actions; None where they are not known.
            shown: what a demonstration names.
        """
        if bounds is None:
            return True
        try:
            if answer.kind == "correction":
                bounds.check(answer.value["action"], "action")
            if shown is not None:
                bounds.check_steps(shown.action, "action")
        except DataError:
            self.num_left_out += 1
            return False
        return True

    def warning(self) -> str | None:
        """What is to be said of them, once; None where there is none, or it was said."""
        if self._has_warned or not self.num_left_out:
            return None
        self._has_warned = True
        some = "an answer names" if self.num_left_out == 1 else f"{self.num_left_out} answers name"
        return f"{some} what is no action of this world, and nothing is learned from that"
