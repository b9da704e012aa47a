"""What demonstrations tell of a reward and what they cannot: the null space of the map from rewards to soft policies.

Two rewards of one form have the same soft policy wherever it was seen just where their difference lies in that space,
to first order at the fitted reward; and exactly, where every state that can be reached was seen (Cao, Cohen and
Szpruch 2021).

Shapes: N parameters, D dimensions that are not identified.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from heeler.rewards.inverse.canonical import reachable
from heeler.rewards.inverse.demonstrations import Demonstrations
from heeler.rewards.inverse.forms import RewardForm
from heeler.rewards.inverse.planning import Plan
from heeler.rewards.inverse.sensitivity import MAX_PARAMETERS, differences, information, is_small, sensitivities
from heeler.rewards.inverse.world import FiniteWorld

Kind = Literal["constant", "inert", "shaping", "unseen", "elsewhere", "constant feature", "collinear", "unknown"]
_SHARE = 1e-11
"""Of the largest square of a singular value: what is below counts as none."""
_MAX_TERMS, _MAX_NAMES = 4, 6


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why some dimensions of a reward are not identified."""

    kind: Kind
    dimensions: int
    words: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Identification:
    """What is and what is not identified."""

    num_parameters: int
    basis_DN: np.ndarray
    """Directions along which the reward may be changed unseen, one a row."""
    num_never: int
    """Dimensions among them that no demonstration whatever in this world could tell."""
    reasons: tuple[Reason, ...]
    basis_words: tuple[str, ...]
    """Each direction of the basis, in words."""
    information_NN: np.ndarray | None = None
    """Of the demonstrations; None where it was not computed."""
    is_computed: bool = True
    """False where there are too many parameters; then only what is known by itself is told."""

    @property
    def num_not_identified(self) -> int:
        """D."""
        return len(self.basis_DN)

    @property
    def num_identified(self) -> int:
        """Dimensions that the demonstrations tell."""
        return self.num_parameters - self.num_not_identified

    @property
    def is_identified_N(self) -> np.ndarray:
        """[N] bool: whether a parameter is identified, whatever the others are; none where it was not computed."""
        if not self.is_computed:
            return np.zeros(self.num_parameters, bool)
        return (
            np.linalg.norm(self.basis_DN, axis=0) < 1e-6 if len(self.basis_DN) else np.ones(self.num_parameters, bool)
        )

    def to_dict(self) -> dict[str, Any]:
        """In plain JSON types."""
        return {
            "num_parameters": self.num_parameters,
            "num_identified": self.num_identified if self.is_computed else None,
            "num_not_identified": self.num_not_identified if self.is_computed else None,
            "num_never": self.num_never if self.is_computed else None,
            "reasons": [vars(reason) for reason in self.reasons],
            "basis": list(self.basis_words),
        }


def identify(
    world: FiniteWorld, form: RewardForm, plan: Plan, demonstrations: Demonstrations | None = None
) -> Identification:
    """What demonstrations tell of the parameters of a reward.

    Args:
        world: finite.
        form: of the reward.
        plan: the soft one under the fitted reward.
        demonstrations: None where every state that can be reached is held to be seen.
    """
    if not is_small(world, form):
        return _too_large(form, demonstrations)
    can_TS = reachable(world)
    seen_TS = can_TS.astype(float) if demonstrations is None else _counts(demonstrations)
    N = form.num_parameters
    seen_NN, any_NN, information_NN = np.zeros((N, N)), np.zeros((N, N)), np.zeros((N, N))
    for time, q_SAN in sensitivities(world, form, plan):
        any_NN += differences(q_SAN, can_TS[time])
        if time < len(seen_TS):
            seen_NN += differences(q_SAN, seen_TS[time] > 0)
            information_NN += information(q_SAN, plan.policy_TSA[time], seen_TS[time])
    scale = float(np.linalg.eigvalsh(any_NN)[-1]) if N else 0.0
    never_DN, unseen_DN = null_space(any_NN, scale), null_space(seen_NN, scale)
    return Identification(
        num_parameters=N,
        basis_DN=unseen_DN,
        num_never=len(never_DN),
        reasons=_reasons(form, never_DN, unseen_DN),
        basis_words=tuple(combination(row_N, form.parameter_names) for row_N in unseen_DN),
        information_NN=None if demonstrations is None else information_NN,
    )


def null_space(square_NN: np.ndarray, scale: float | None = None) -> np.ndarray:
    """[D, N] a basis of what a positive semidefinite matrix sends to 0, in reduced rows so that it can be read.

    Args:
        square_NN: the matrix.
        scale: what its eigenvalues are compared with; None for the largest of them.
    """
    if not len(square_NN):
        return np.zeros((0, 0))
    eigenvalue_N, vector_NN = np.linalg.eigh(square_NN)
    largest = float(eigenvalue_N[-1]) if scale is None else scale
    return reduced_rows(vector_NN[:, eigenvalue_N <= _SHARE * max(largest, 1e-300)].T)


def reduced_rows(basis_DN: np.ndarray) -> np.ndarray:
    """The same space with a basis of which each row has a 1 where the others have 0."""
    rows_DN = basis_DN.copy()
    for row in range(len(rows_DN)):
        # The largest number of what is left keeps rounding small.
        place = np.unravel_index(np.abs(rows_DN[row:]).argmax(), rows_DN[row:].shape)
        pivot, column = row + int(place[0]), int(place[1])
        rows_DN[[row, pivot]] = rows_DN[[pivot, row]]
        rows_DN[row] /= rows_DN[row, column]
        others = np.arange(len(rows_DN)) != row
        rows_DN[others] -= rows_DN[others, column][:, None] * rows_DN[row]
    rows_DN[np.abs(rows_DN) < 1e-7] = 0.0
    return rows_DN


def combination(row_N: np.ndarray, names: Sequence[str]) -> str:
    """A direction in words: `1 × goal − 0.5 × lava`."""
    places = np.argsort(-np.abs(row_N), kind="stable")
    places = places[row_N[places] != 0]
    terms = [f"{'−' if row_N[n] < 0 else '+'} {abs(row_N[n]):.3g} × {names[n]}" for n in places[:_MAX_TERMS]]
    more = f" and {len(places) - _MAX_TERMS} more" if len(places) > _MAX_TERMS else ""
    return " ".join(terms).removeprefix("+ ") + more


def _counts(demonstrations: Demonstrations) -> np.ndarray:
    """[T, S] how often each state was acted in."""
    return np.stack([counts_SA.sum(1) for counts_SA in demonstrations.counts_by_time()])


def _reasons(form: RewardForm, never_DN: np.ndarray, unseen_DN: np.ndarray) -> tuple[Reason, ...]:
    reasons: list[Reason] = []
    inert = _axes(never_DN)
    if len(inert):
        words = f"{_listed(form, inert)}: no behaviour in this world depends on it"
        reasons.append(Reason(kind="inert", dimensions=len(inert), words=words))
    rest = len(never_DN) - len(inert)
    constant_N = _constant(form)
    if constant_N is not None and rest > 0:
        constant_N[inert] = 0.0
        if _lies_in(constant_N, never_DN):
            words = "a constant: the same number added to every visit changes no behaviour"
            reasons.append(Reason(kind="constant", dimensions=1, words=words))
            rest -= 1
    if rest > 0:
        words = (
            f"{rest} combinations that are potential shaping, γ E[φ(s')] − φ(s): they change what every way earns by "
            "what its first and last states decide, and no behaviour"
        )
        reasons.append(Reason(kind="shaping", dimensions=rest, words=words))
    unseen = np.setdiff1d(_axes(unseen_DN), inert)
    if len(unseen):
        words = f"{_listed(form, unseen)}: bears on nothing that was done in the states that people were seen in"
        reasons.append(Reason(kind="unseen", dimensions=len(unseen), words=words))
    rest = len(unseen_DN) - len(never_DN) - len(unseen)
    if rest > 0:
        words = f"{rest} combinations that differ only in what would be done where nobody was seen"
        reasons.append(Reason(kind="elsewhere", dimensions=rest, words=words))
    return tuple(reasons)


def _axes(basis_DN: np.ndarray) -> np.ndarray:
    """Parameters that lie in the space by themselves."""
    if not len(basis_DN):
        return np.zeros(0, np.int64)
    single_D = (basis_DN != 0).sum(1) == 1
    orthogonal_ND = np.linalg.qr(basis_DN.T)[0]
    whole_N = np.square(orthogonal_ND).sum(1) > 1 - 1e-8
    whole_N[np.abs(basis_DN[single_D]).argmax(1)] = True
    return np.flatnonzero(whole_N)


def _lies_in(vector_N: np.ndarray, basis_DN: np.ndarray) -> bool:
    size = float(np.linalg.norm(vector_N))
    if size == 0 or not len(basis_DN):
        return False
    orthogonal_ND = np.linalg.qr(basis_DN.T)[0]
    left_N = vector_N - orthogonal_ND @ (orthogonal_ND.T @ vector_N)
    return float(np.linalg.norm(left_N)) <= 1e-6 * size


def _constant(form: RewardForm) -> np.ndarray | None:
    """[N] parameters that pay 1 for everything; None where the form has none."""
    if form.features is None:
        return np.ones(form.num_parameters)
    flat_XN = form.features[form.going_on_S].reshape(-1, form.num_parameters)
    if form.is_of_states:
        flat_XN = form.features
    weight_N = np.linalg.lstsq(flat_XN, np.ones(len(flat_XN)), rcond=None)[0]
    return weight_N if np.allclose(flat_XN @ weight_N, 1.0, atol=1e-8) else None


def _listed(form: RewardForm, places: np.ndarray) -> str:
    names = [form.parameter_names[place] for place in places[:_MAX_NAMES]]
    more = f" and {len(places) - _MAX_NAMES} more" if len(places) > _MAX_NAMES else ""
    return ", ".join(names) + more


def _too_large(form: RewardForm, demonstrations: Demonstrations | None) -> Identification:
    unvisited = "" if demonstrations is None else _unvisited_words(form, demonstrations)
    words = (
        f"the reward has {form.num_parameters:,} parameters, and what is not identified is computed for at most "
        f"{MAX_PARAMETERS:,}; a table is known up to a potential{unvisited}"
    )
    return Identification(
        num_parameters=form.num_parameters,
        basis_DN=np.zeros((0, form.num_parameters)),
        num_never=0,
        reasons=(Reason(kind="unknown", dimensions=0, words=words),),
        basis_words=(),
        is_computed=False,
    )


def _unvisited_words(form: RewardForm, demonstrations: Demonstrations) -> str:
    missed = int((form.gathered(demonstrations.visits) == 0).sum())
    return f", and {missed:,} of its parameters were never paid" if missed else ""
