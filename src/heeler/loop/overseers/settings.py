"""Which overseers look at a run or a chat, as a configuration names them, and the team that comes of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from heeler.core.errors import ConfigError
from heeler.loop.overseers.learned import LearnedOverseers
from heeler.oversight.overseers.conduct import Conduct, ConductConfig
from heeler.oversight.overseers.ethics import TOLD_OF_STEPS, Ethics, EthicsRule, check_told, read_rules
from heeler.oversight.overseers.evidence import Overseer
from heeler.oversight.overseers.own import load_overseer
from heeler.oversight.overseers.quorum import QuorumConfig
from heeler.oversight.overseers.resources import ResourceBudget, Resources
from heeler.oversight.overseers.team import Team


@dataclass(frozen=True, kw_only=True)
class OwnOverseer:
    """A charge of one's own."""

    function: str
    """`FILE.py:NAME` or `MODULE:NAME` of a class with `review(evidence)`, or of a function of the evidence that gives a
    verdict, or False where it has nothing against it, True or its reason else."""
    name: str = ""
    """By which its verdicts are told; empty for its own."""


@dataclass(frozen=True, kw_only=True)
class OverseersConfig:
    """Who looks at each step before it is carried out, and what takes its place where they object."""

    conduct: ConductConfig | None = None
    """Unexpected behaviour; None for nobody who looks at it."""
    resources: tuple[ResourceBudget, ...] = ()
    """Budgets of what is used up."""
    rules: str = ""
    """YAML file of written rules; empty for none."""
    learned: str = ""
    """Folder of overseers that learned in the game of oversight, which watch a worker in it; empty for none. They count
    as one, that decides by the quorum that they learned under."""
    own: tuple[OwnOverseer, ...] = ()
    """Charges of one's own."""
    quorum: QuorumConfig = field(default_factory=QuorumConfig)
    """How they decide together. Their order is conduct, resources, ethics, learned, one's own."""
    timeout_s: float = 1.0
    """Whoever takes longer for one step of all copies, or for one text, has vetoed."""
    num_rests: int = 100
    """So many steps it then vetoes without being asked."""
    trusted: str = ""
    """Whose action takes the place of one that was vetoed: the folder of a policy that `heeler export` wrote; empty for
    none, action 0 or what of the bounds is nearest to it."""
    money_per_hour: float = 0.0
    """What an hour of the processor costs, for a budget of `money`."""

    def __post_init__(self) -> None:
        if not (self.conduct or self.resources or self.rules or self.learned or self.own):
            raise ConfigError("overseers needs at least one of conduct, resources, rules, learned and own")
        if not self.timeout_s > 0:
            raise ConfigError(f"overseers.timeout_s must be > 0, got {self.timeout_s}")
        if self.num_rests < 0:
            raise ConfigError(f"overseers.num_rests must be >= 0, got {self.num_rests}")
        has_money = any(budget.name == "money" for budget in self.resources)
        if not 0 <= self.money_per_hour < float("inf"):
            raise ConfigError(f"overseers.money_per_hour must be >= 0 and finite, got {self.money_per_hour}")
        if has_money != bool(self.money_per_hour):
            raise ConfigError("overseers.money_per_hour is for a budget of money, which needs it; give both or neither")
        given = (self.conduct, self.resources, self.rules, self.learned)
        self.quorum.check_number(sum(map(bool, given)) + len(self.own))


@dataclass(frozen=True, kw_only=True, eq=False)
class BuiltTeam:
    """A team, and what of it a run must know."""

    team: Team
    conduct: Conduct | None
    learned: LearnedOverseers | None
    rules: Sequence[EthicsRule]
    rules_sha256: str
    """Of the file of rules; empty without one."""
    spent: tuple[str, ...] | None
    """Of what is used up, what they look at; None for whatever there is."""


def build_team(
    config: OverseersConfig, *, num_choices: Sequence[int] = (), told: Sequence[str] = TOLD_OF_STEPS
) -> BuiltTeam:
    """The overseers that a configuration names.

    Args:
        config: the settings.
        num_choices: of each component of discrete actions; none for continuous ones and for texts.
        told: what rules may read.

    Raises:
        ConfigError: a file or a function is not there or not what it should be, or two have one name.
    """
    overseers: list[Overseer] = []
    conduct, sha256, rules = None, "", list[EthicsRule]()
    if config.conduct is not None:
        conduct = Conduct(replace(config.conduct, num_choices=tuple(num_choices)))
        overseers.append(conduct)
    if config.resources:
        overseers.append(Resources(config.resources))
    if config.rules:
        rules, sha256 = read_rules(Path(config.rules))
        check_told(rules, told, config.rules)
        overseers.append(Ethics(rules))
    learned = LearnedOverseers(Path(config.learned)) if config.learned else None
    if learned is not None:
        overseers.append(learned)
    overseers += [load_overseer(one.function, name=one.name) for one in config.own]
    team = Team(overseers, config.quorum, timeout_s=config.timeout_s, num_rests=config.num_rests)
    is_read = config.own or learned or any(rule.condition is None or "spent" in rule.reads for rule in rules)
    spent = None if is_read else tuple(budget.name for budget in config.resources)
    return BuiltTeam(team=team, conduct=conduct, learned=learned, rules=rules, rules_sha256=sha256, spent=spent)
