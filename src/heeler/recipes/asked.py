"""What people are asked in a language model's run."""

from heeler.loop.language.config import PEOPLE, AskingConfig


def asked_of_people(budget: int, answers_per_update: int) -> AskingConfig:
    """As many comparisons in an update as are waited for, and four held-out ones in every other.

    People answer the oldest first: with more in an update than are waited for, what the watch goes by would come later
    and later.

    Args:
        budget: comparisons in all.
        answers_per_update: answers that are waited for before each update; 0 for none.
    """
    wanted = {"per_update": answers_per_update} if answers_per_update else {}
    return AskingConfig(teacher=PEOPLE, budget=budget, num_held_out=4, held_out_every=2, **wanted)
