r"""How noisily each kind of answer and each person speaks of the reward: learned with it.

A person p answers a question of the kind k by a logit of $\beta_k \kappa_p$ times what is judged. Both are learned:
$\log \beta_k \sim N(0, s_k^2)$, $\log \kappa_p \sim N(0, s_p^2)$, and how lenient a person is, $b_p \sim N(0, 1)$,
moves their ratings and marks. Somebody of whom little is known stays near the middle. A mark is about a step or two and
a comparison about fifty, so that $\beta_k$ is counted in units in which what is judged is as large for all kinds, were
steps independent: before any is learned, a mark is taken to be about as sure as a comparison.
Shapes: M members, I items, R rows, J alternatives, K levels, n items of one kind.
"""

import math

import torch
from torch import Tensor, nn

from heeler.ops.answer_likelihoods import pick_log_probs, rating_log_probs, sign_log_probs, with_lapses
from heeler.ops.preferences import choice_log_probs
from heeler.rewards.joint.evidence import ITEM_KINDS, PICKS, ItemKind

KIND_SPREAD = 2.0
"""s_k: a mark about one step is worth many times a comparison of twenty-five, or a fraction of it."""


class Noise(nn.Module):
    """Precisions of kinds and people, a scale's cuts, and what is usual.

    Args:
        num_levels: K.
        person_spread: s_p.
        lapse: share of all answers that are given at random.
    """

    def __init__(self, num_levels: int, person_spread: float, lapse: float) -> None:
        super().__init__()
        self.person_spread, self.lapse = person_spread, lapse
        self.log_beta_K = nn.Parameter(torch.zeros(len(ITEM_KINDS)))
        self.log_tie = nn.Parameter(torch.tensor(-1.0))
        self.lowest_cut = nn.Parameter(torch.tensor(-math.log(num_levels - 1)))
        self.gap = nn.Parameter(torch.zeros(num_levels - 2))
        self.usual_K = nn.Parameter(torch.zeros(len(ITEM_KINDS)))
        """What is taken off a critique's or a mark's logit: what people hold for neither good nor bad."""
        self.unit_K: Tensor
        self.register_buffer("unit_K", torch.zeros(len(ITEM_KINDS)))
        """What the values of each kind's rows are multiplied by; 0 while it is not known."""
        self.reference: Tensor
        self.register_buffer("reference", torch.zeros(()))
        """Weight of a row that is multiplied by 1; 0 while none was seen."""
        self.log_precision_P = nn.Parameter(torch.zeros(0))
        self.lenient_P = nn.Parameter(torch.zeros(0))

    def meet(self, num_people: int) -> None:
        """Make room for people who were not known before, who are like the middle."""
        new = num_people - len(self.lenient_P)
        if new > 0:
            self.log_precision_P = nn.Parameter(torch.cat([self.log_precision_P.detach(), torch.zeros(new)]))
            self.lenient_P = nn.Parameter(torch.cat([self.lenient_P.detach(), torch.zeros(new)]))

    def measure(self, weight_K: Tensor) -> None:
        """Fix the units of kinds that were not seen before; they stay, whatever comes later.

        Args:
            weight_K: mean over the rows of each kind of the sum of their steps' weights, signs left out; 0 of kinds
                that there are none of.
        """
        if self.reference == 0:
            self.reference.copy_(weight_K.max())
        is_new_K = (self.unit_K == 0) & (weight_K > 0)
        self.unit_K[is_new_K] = (self.reference / weight_K[is_new_K]).sqrt()

    def precision(self, kind: ItemKind) -> float:
        """How much of what is judged goes into the logit of an answer, by the usual person."""
        place = ITEM_KINDS.index(kind)
        return float(self.log_beta_K[place].detach().exp() * self._unit(place))

    def _unit(self, place: int) -> Tensor:
        return torch.where(self.unit_K[place] > 0, self.unit_K[place], 1.0)

    def surprise(self) -> Tensor:
        """Minus the log of the prior, but for a constant."""
        kinds = self.log_beta_K.square().sum() / KIND_SPREAD**2 + self.usual_K.square().sum() / KIND_SPREAD**2
        people = self.log_precision_P.square().sum() / self.person_spread**2 + self.lenient_P.square().sum()
        # Of neighbouring levels without answers between them nothing is known.
        return 0.5 * (kinds + people + self.gap.square().sum())

    def log_probs(
        self, kind: ItemKind, value_MnJ: Tensor, is_there_nJ: Tensor, person_n: Tensor, *, with_ties: bool
    ) -> Tensor:
        """[M, n, outcomes] of items of one kind, under each member.

        Args:
            kind: of all of them.
            value_MnJ: their rows' values; of kinds with one row J is 1.
            is_there_nJ: which rows an item has.
            person_n: who answered.
            with_ties: whether "equal" is an answer that comparisons are given.
        """
        place = ITEM_KINDS.index(kind)
        precision_n = (self.log_beta_K[place] + self.log_precision_P[person_n]).exp() * self._unit(place)
        level_MnJ = value_MnJ * precision_n[:, None]
        if kind in PICKS:
            return with_lapses(pick_log_probs(level_MnJ, is_there_nJ), self.lapse, is_there_nJ.sum(-1).float())
        level_Mn = level_MnJ.squeeze(-1)
        if kind == "preference":
            return choice_log_probs(level_Mn, log_tie=self.log_tie if with_ties else None, lapse=self.lapse)
        level_Mn = level_Mn + self.lenient_P[person_n]
        if kind == "rating":
            return with_lapses(rating_log_probs(level_Mn, self.lowest_cut, self.gap), self.lapse)
        return with_lapses(sign_log_probs(level_Mn - self.usual_K[place]), self.lapse)
