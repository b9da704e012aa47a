"""Whether a configuration can do what it says, before anybody is asked anything: gate, watch and world must fit."""

import math

from heeler.core.errors import ConfigError
from heeler.loop.language.config import PEOPLE, LanguageRunConfig, ReleaseConfig
from heeler.loop.language.offering import suite_seed
from heeler.loop.language.rewarding import Rewarding
from heeler.loop.language.worlds import HELPDESK, SUITES_SHARE, PromptFile, TextWorld, world_named
from heeler.loop.overseers.texts import with_overseers
from heeler.models.language.model import LanguageModel
from heeler.oversight.gate_sizes import num_to_pass, too_small
from heeler.oversight.over_optimisation import fewest_rounds


def refuse_what_does_not_fit(config: LanguageRunConfig, start: LanguageModel) -> None:
    """Refuse what cannot be learned or released in the world that the run is in, or with the model that it begins with.

    Raises:
        ConfigError: simulated users are to judge what they know nothing of, or the gate asks for suites that there are
            not, or so few items of one that nothing could ever pass; or nothing would be learned, or by a part of the
            reward that cannot be.
        DataError: there is no such world, or it holds no prompts, or one that the model cannot read.
    """
    world = world_named(config.world, config.num_in_suites)
    if isinstance(world, PromptFile):
        world.refuse_unreadable(start)
    if config.asking is not None and not config.asks_people and config.world != HELPDESK:
        raise ConfigError(f"asking.teacher must be {PEOPLE}: simulated users know nothing of the prompts of a file")
    if config.release is not None:
        _refuse_gate_that_cannot_release(config, config.release, world)
    _refuse_a_reward_that_never_comes(config)
    # A part that cannot be made says so.
    Rewarding(config, world, start)


def _refuse_a_reward_that_never_comes(config: LanguageRunConfig) -> None:
    asking, learned = config.asking, config.learned
    # What people say in chats is learned from too.
    if asking is None or learned is None or config.asks_people or config.parts.teach:
        return
    num_pairs = min(asking.budget, min(asking.per_update, config.num_prompts) * config.num_updates)
    if num_pairs < learned.first_fit:
        raise ConfigError(
            f"nothing would be learned: at most {num_pairs:,} comparisons are asked for, the learned reward is first "
            f"fitted to learned.first_fit={learned.first_fit:,}, and no part has a weight; raise asking.budget, "
            "asking.per_update or num_updates, or lower learned.first_fit"
        )


def _refuse_gate_that_cannot_release(config: LanguageRunConfig, release: ReleaseConfig, world: TextWorld) -> None:
    name = config.world
    # The very suites that it will ask: how many of some kinds there are is a matter of chance.
    suites = with_overseers(world.suites(release.suite_size, seed=suite_seed(config.seed)), release.overseers)
    sizes = {suite.name: len(suite.items) for suite in suites}
    missing = [check.suite for check in release.gate.checks if check.suite not in sizes]
    if missing:
        raise ConfigError(f"release.gate.checks: {name} has no suite {missing[0]!r}, only {', '.join(sorted(sizes))}")
    small = too_small(release.gate, sizes)
    if not small:
        return
    needed = max(num_to_pass(release.gate, check) for check in release.gate.checks)
    raise ConfigError(
        f"release: nothing could ever pass the gate at its error rate of {release.gate.error_rate:g}: "
        f"{'; '.join(small)}. {_how_to_mend(release, world, name, needed)}"
    )


def _how_to_mend(release: ReleaseConfig, world: TextWorld, name: str, needed: int) -> str:
    size = f"set release.suite_size ({release.suite_size:,}) to {needed:,} or more"
    if isinstance(world, PromptFile):
        share, num = SUITES_SHARE, math.ceil(needed / SUITES_SHARE)
        kept = f"{name} has {world.num_prompts:,} different prompts, of which {share:.0%} at most are kept for the gate"
        wanted = [f"bring {num:,}"] if world.num_prompts < num else []
        size = f"{kept}: {' and '.join([*wanted, *([size] if release.suite_size < needed else [])])}"
    else:
        size = size[0].upper() + size[1:]
    return f"{size}, or allow larger losses (release.gate.checks; --margin of the recipe chat), or set release to null"


def watch_in_vain(config: LanguageRunConfig) -> str | None:
    """Why the watch could not halt this run however its reward were exploited; None where it could, or is not wanted.

    It needs rounds of held-out comparisons from the first fit of the learned reward on; people who answer late make it
    later than what is said here.
    """
    if config.watch is None or config.learned is None:
        return None
    if config.asking is None or config.asking.num_held_out == 0:
        return (
            "the watch has nothing to go by, so that nothing halts a run whose learned reward is exploited: set "
            "asking.num_held_out"
        )
    if not config.asks_people and config.asking.budget < config.learned.first_fit:
        return (
            f"the watch has nothing to watch: the learned reward is first fitted to {config.learned.first_fit:,} "
            f"comparisons (learned.first_fit), and asking.budget is {config.asking.budget:,}"
        )
    rounds, every = fewest_rounds(config.watch), config.asking.held_out_every
    first_fit = math.ceil(config.learned.first_fit / config.asking.per_update)
    soonest = math.ceil((first_fit - 1) / every) * every + every * (rounds - 1) + 1
    if soonest <= config.num_updates:
        return None
    return (
        f"the watch cannot halt this run however its learned reward is exploited: its {rounds} rounds of held-out "
        f"comparisons are there after {soonest:,} updates at the soonest, and the run has {config.num_updates:,}; "
        f"lower asking.held_out_every ({every}) or watch.updates_per_point ({config.watch.updates_per_point})"
    )
