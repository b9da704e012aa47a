"""The card's sections of a policy in a world."""

from collections.abc import Mapping
from typing import Any

from heeler.core.releases import Releases
from heeler.core.rundir import RunDirectory
from heeler.core.seeding import stream
from heeler.envs import make
from heeler.loop.config import RunConfig, from_dict
from heeler.loop.lineage import Lineage
from heeler.loop.reading import policy_of
from heeler.loop.release_card_parts import Section, acts_section, answers_section, disagreement, later_section
from heeler.loop.release_card_sources import with_sources
from heeler.loop.release_reward_saliency import Contributions, reward_saliency
from heeler.loop.release_saliency import Saliency, policy_saliency
from heeler.loop.release_visits import Visited, strange_share, visited
from heeler.loop.released import released_checkpoint
from heeler.loop.words import number
from heeler.models.policy import Policy
from heeler.oversight.control_gate_records import KIND
from heeler.rewards.step_features import MOST_SPREADS
from heeler.safety.costs import all_cost_names

_LOOKED_AT = {
    "shield": ("shield", "shields"),
    "overseers": ("overseers", "overseer"),
    "monitors": ("monitors",),
    "interventions": ("interventions",),
}
"""What may stand beside a learner, by the settings that it is set by."""


def control_sections(directory: RunDirectory, told: Lineage) -> tuple[Section, ...]:
    """Everything but what it is."""
    values = directory.config()
    config = from_dict(values)
    checkpoint = released_checkpoint(Releases(directory).checkpoint_folder(told.release), told.release)
    policy = policy_of(checkpoint, config)
    seed = int(stream(config.seed, f"card {checkpoint.sha256}").integers(2**31))
    states = visited(policy, config, checkpoint, seed=seed)
    found: list[Section | None] = [
        with_sources(answers_section(directory, told, is_asking=_is_asking(config)), config, checkpoint.state),
        _gate_section(told),
        later_section(told),
        _saliency_section("What moves its choices", policy_saliency(policy, states, config), states),
    ]
    if config.asking is not None and told.reward is not None and told.reward.num_fitted:
        goes_by = reward_saliency(checkpoint, policy, states, config)
        found.append(_reward_section(goes_by, states))
    found += [_limits(told, config, values, policy, states), acts_section(told)]
    return tuple(section for section in found if section is not None)


def _is_asking(config: RunConfig) -> bool:
    answers = None if config.limits is None else config.limits.answers
    return bool(config.asking or answers or (config.imitation and config.imitation.asks_people))


def _is_tested(told: Lineage) -> bool:
    return told.gate is not None and told.gate.details.get("kind") == KIND


def _gate_section(told: Lineage) -> Section:
    gate = told.gate
    if gate is None or not _is_tested(told):
        return Section(title="How it was tested", paragraphs=("No gate was asked: it was released untested.",))
    details, means = gate.details, gate.details["means"]
    num = len(details["episodes"]["candidate"]["returns"])
    with_what = "the release in use then" if gate.current_sha256 is not None else "the policy that learning began with"
    passed = "passed" if gate.passed else "was kept back by"
    per = {claim["name"]: f" per {claim['per']}" for claim in details["costs"]}
    return Section(
        title="How it was tested",
        paragraphs=(
            f"It {passed} the gate at an error rate of {details['config']['error_rate']:g}: {num:,} fresh episodes "
            f"(seed {details['seed']}) beside as many of {with_what}, from the same first states. All bounds hold at "
            "once.",
            f"Mean return: {number(means['candidate'])}; of {with_what} {number(means['current'])}.",
        ),
        heads=("claim", "seen", "lower bound", "upper bound", "must be", "bound by", "shown"),
        rows=tuple(_claim_row(shown, per) for shown in details["shown"]),
        points=gate.reasons,
    )


def _claim_row(shown: Mapping[str, Any], per: Mapping[str, str]) -> tuple[str, ...]:
    is_return = shown["name"] == "return"
    name = "difference of returns" if is_return else f"cost {shown['name']}{per[shown['name']]}"
    must = f"lower bound at least {number(shown['limit'])}" if is_return else f"at most {number(shown['limit'])}"
    low, high = ("unknown" if shown[side] is None else number(shown[side]) for side in ("low", "high"))
    return name, number(shown["estimate"]), low, high, must, shown["method"], "yes" if shown["is_shown"] else "no"


def _reward_section(found: Saliency | Contributions, states: Visited) -> Section:
    title = "What its learned reward goes by"
    if isinstance(found, Saliency):
        return _saliency_section(title, found, states)
    rows = [
        (
            one.name,
            f"{one.share:.1%}",
            f"{number(one.at_low)} to {number(one.at_high)}",
            f"{number(one.low)} to {number(one.high)}",
        )
        for one in found.inputs
    ]
    return Section(
        title=title,
        paragraphs=(
            "The reward is linear, and these are its exact contributions in "
            f"{_states(found.num_states, states)}: weight times distance from the mean, which add up to how far a "
            "step's reward is from the mean one's.",
            _cut_off(found),
        ),
        heads=("input", "share", "adds, at the lowest to the highest", "seen from, to"),
        rows=tuple(rows),
    )


def _cut_off(found: Contributions) -> str:
    far = f"further than {MOST_SPREADS} spreads from the mean of what it learned on"
    if not found.cut_off_share:
        return f"No number was {far}, which is as far as the reward counts."
    share = f"{found.cut_off_share:.1%}"
    return f"In {share} of the steps a number was {far}: it counts as {MOST_SPREADS}, for the reward as for this table."


def _saliency_section(title: str, found: Saliency, states: Visited) -> Section:
    rows = [
        (one.name, f"{one.share:.1%}", f"{one.share_of_gradients:.1%}", f"{number(one.low)} to {number(one.high)}")
        for one in found.inputs
    ]
    return Section(
        title=title,
        paragraphs=(
            f"Averaged over {_states(found.num_states, states)}. Integrated gradients from the mean input, which miss "
            f"what they share out by {found.largest_gap:.2g} of it at most; and gradient times input beside them.",
        ),
        heads=("input", "share", "by gradient", "seen from, to"),
        rows=tuple(rows),
    )


def _states(num: int, states: Visited) -> str:
    its = " and its ".join(states.behind)
    if not states.is_let:
        return f"{num:,} states that it would visit without its {its}, behind which nothing is done"
    return f"{num:,} states that it visits" + (f" behind its {its}" if its else "")


def _limits(told: Lineage, config: RunConfig, values: Mapping[str, Any], policy: Policy, states: Visited) -> Section:
    share = strange_share(policy, states)
    points = [
        *_of_its_test(told, config),
        "Nothing was looked at outside of the ranges above, and what it does there is not known.",
    ]
    if share is not None:
        far = "a number more than 5 spreads from the mean of what it learned on"
        points.append(f"{share:.1%} of the states that it visits have {far}.")
    if told.answers:
        points.append(disagreement(told.answers))
    points += _untested(told, config)
    for name, settings in _LOOKED_AT.items():
        is_on = any(values.get(setting) for setting in settings)
        points.append(f"{name.capitalize()}: {'on' if is_on else 'off'} while it learned.")
    return Section(title="Known limits", points=tuple(points))


def _of_its_test(told: Lineage, config: RunConfig) -> list[str]:
    if not _is_tested(told):
        return ["It was not tested: how well it does in fresh episodes, and what they cost, is not known."]
    points = [
        "It was tested in its own world alone, with the settings of the run; nothing is known of another.",
        "It was tested acting by its likeliest action; while it learned it tried others too.",
    ]
    if config.learns_reward or config.imitation is not None:
        points.append("Its return was judged by the world's own reward, which it did not learn from.")
    return points


def _untested(told: Lineage, config: RunConfig) -> list[str]:
    world = make(config.env.single(), config.seed)
    counted = all_cost_names(config.limits.costs if config.limits else (), world.cost_names)
    world.close()
    tested = set[str]() if told.gate is None else {str(claim["name"]) for claim in told.gate.details.get("costs", ())}
    if not counted:
        return ["Its world counts no costs, and it has none of its own, so that none was tested."]
    return [f"The cost {name} was never tested{_why(name, config)}." for name in counted if name not in tested]


def _why(cost: str, config: RunConfig) -> str:
    budgeted = set() if config.limits is None else {one.name for one in config.limits.costs}
    return "" if cost in budgeted | set(config.gate.budgets if config.gate else ()) else ": it has no budget"
