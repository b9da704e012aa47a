"""Monitors: each turns what a run shows after an update into a finding, or nothing.

A monitor states its rate of false alarms for a whole run (`MonitorsConfig.false_alarms`), and its thresholds follow
from it. What they share: `jumps` (a value off the line it was on), `page_hinkley` and `adwin` (a mean that changed),
`e_detector` and `per_person` (bets against a claim), `ranks`.
"""

from heeler.oversight.monitors.agreement_drift import AgreementDrift
from heeler.oversight.monitors.checkpoints import Checkpoints
from heeler.oversight.monitors.config import MONITOR_NAMES, MonitorsConfig
from heeler.oversight.monitors.contradictory_answers import ContradictoryAnswers
from heeler.oversight.monitors.cost_drift import CostDrift
from heeler.oversight.monitors.cost_over_budget import CostOverBudget
from heeler.oversight.monitors.cost_sensor import CostSensor
from heeler.oversight.monitors.disagreeing_person import DisagreeingPerson
from heeler.oversight.monitors.dynamics import Dynamics
from heeler.oversight.monitors.entropy_collapse import EntropyCollapse
from heeler.oversight.monitors.fast_answers import FastAnswers
from heeler.oversight.monitors.feedback_stops import FeedbackStops
from heeler.oversight.monitors.gradients import Gradients
from heeler.oversight.monitors.hard_questions import HardQuestions
from heeler.oversight.monitors.kl_spike import KlSpike
from heeler.oversight.monitors.monitor import Monitor, Setup
from heeler.oversight.monitors.observations import Observations
from heeler.oversight.monitors.one_sided_answers import OneSidedAnswers
from heeler.oversight.monitors.repeated_answers import RepeatedAnswers
from heeler.oversight.monitors.resources import Resources
from heeler.oversight.monitors.return_drift import ReturnDrift
from heeler.oversight.monitors.reward_disagreement import RewardDisagreement
from heeler.oversight.monitors.reward_hacking import RewardHacking
from heeler.oversight.monitors.reward_signal import RewardSignal
from heeler.oversight.monitors.seen import Acted, Answer, Seen, acted
from heeler.oversight.monitors.slow_updates import SlowUpdates
from heeler.oversight.monitors.stuck_sensor import StuckSensor
from heeler.oversight.monitors.value_loss import ValueLoss

__all__ = ["MONITORS", "MONITOR_NAMES", "Acted", "Answer", "Monitor", "MonitorsConfig", "Seen", "Setup", "acted"]

OF_THE_POLICY: tuple[type[Monitor], ...] = (
    ReturnDrift,
    CostDrift,
    CostOverBudget,
    CostSensor,
    Observations,
    StuckSensor,
    Dynamics,
    RewardSignal,
    EntropyCollapse,
    KlSpike,
    Gradients,
    ValueLoss,
    RewardDisagreement,
    RewardHacking,
)
"""What begins anew where a fresh policy takes over."""

MONITORS: tuple[type[Monitor], ...] = (
    *OF_THE_POLICY,
    FastAnswers,
    OneSidedAnswers,
    ContradictoryAnswers,
    RepeatedAnswers,
    DisagreeingPerson,
    AgreementDrift,
    FeedbackStops,
    HardQuestions,
    SlowUpdates,
    Resources,
    Checkpoints,
)
"""Every monitor that looks at a run between updates. `stall` and `breakdown` are told of by the loop itself: the one
while no update ends, the other where the run does."""
