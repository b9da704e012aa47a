r"""What the end of an episode is worth: what follows a terminal state is a state of its own, seen for ever after.

Without it a terminal state counts as nought, so that a reward that is never negative pays for staying alive and one
that is never positive for dying, whatever was shown (Kostrikov et al. 2019, arXiv 1809.02925). With it expert and
learner are told apart by how often they end, as by anything else. Of one state alone the best discriminator is known,
and not learned: $D = p/(p + q)$, p and q the discounted shares of steps that expert and learner spend there.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from heeler.core.demonstrations import Demonstrations
from heeler.core.errors import ConfigError
from heeler.core.rollout import Rollout
from heeler.ops.imitation import RewardForm, end_logit, gail_reward

_DECAY = 0.9
"""Of what the learner did before, with every rollout."""


@dataclass
class Ends:
    """How often episodes end by themselves."""

    expert: tuple[float, float]
    """Ends and steps of what was shown."""
    learner: tuple[float, float] = (0.0, 0.0)
    """Of the learner, lately."""

    @classmethod
    def of(cls, demonstrations: Demonstrations | None) -> "Ends":
        """Of what was shown; nothing where that is not known."""
        if demonstrations is None:
            return cls((0.0, 0.0))
        return cls((float(demonstrations.steps.terminated.sum()), float(demonstrations.num_steps)))

    def learn(self, rollout: Rollout) -> None:
        """Take in a rollout of the learner's."""
        ends, steps = self.learner
        self.learner = (_DECAY * ends + float(rollout.terminated.sum()), _DECAY * steps + rollout.terminated.size)

    def worth(self, terminated: Tensor, form: RewardForm, *, discount: float) -> Tensor:
        """What steps are paid on top for ending their episode, in the shape of `terminated`: 1.0 where one did."""
        logit = end_logit(*self.expert, *self.learner, discount=discount)
        after = gail_reward(torch.tensor(logit), form).item() * discount / (1 - discount)
        return terminated * after

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return {"ends": torch.tensor([*self.expert, *self.learner], dtype=torch.float64)}

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `tensors` returned."""
        expert_ends, expert_steps, ends, steps = tensors["ends"].tolist()
        self.expert, self.learner = (expert_ends, expert_steps), (ends, steps)


def check_discount(counts_ends: bool, discount: float) -> None:
    """Refuse to count what lasts for ever.

    Raises:
        ConfigError: nothing later is worth less than now, so that what follows an end has no finite worth.
    """
    if counts_ends and not discount < 1:
        raise ConfigError("count_ends needs an algorithm.discount below 1, as what follows an end lasts for ever")
