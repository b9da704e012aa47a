"""A hopper learns to do backflips from comparisons of two-clip pairs; nobody writes it a reward."""

from heeler.algorithms.ppo import PPOConfig
from heeler.envs import EnvConfig
from heeler.feedback.schedule import LabelSchedule
from heeler.loop.config import RunConfig
from heeler.loop.preferences_config import PreferencesConfig
from heeler.models.policy import PolicyConfig
from heeler.recipes.teachers import people_of, teacher_named
from heeler.rewards.preference_model import PreferenceModelConfig

# Height, pitch, its rate and the contacts: what one sees of a flip. Joints and the rest would have to be learned to be
# beside the point, from answers that are better spent.
SEEN = (0, 1, 2, 8, 12, 13, 14)


def backflip(
    *,
    seed: int = 0,
    budget: int = 700,
    total_steps: int = 4_000_000,
    teacher: str = "backflip",
    acquisition: str = "information_gain",
) -> RunConfig:
    """A hopper learns to do backflips from comparisons.

    Args:
        seed: everything random in the run follows from it.
        budget: comparisons that are asked for.
        total_steps: environment steps of the whole run.
        teacher: who answers: `people`, or a simulated teacher: `oracle`, `noisy`, `mistaken`, `skipping`, `myopic`,
            `indifferent`, `slow`, `biased` or `backflip`, which is noisy with 10 % mistakes; or a simulated crowd:
            `crowd`, `careless-crowd`, `hostile-crowd`, `colluding-crowd`, `drifting-crowd` or `two-groups`.
        acquisition: how pairs worth asking about are chosen: `random`, `disagreement`, `entropy`, `information_gain` or
            `coverage`.
    """
    return RunConfig(
        recipe="backflip",
        env=EnvConfig(id="Backflip", num_envs=64),
        total_steps=total_steps,
        num_steps=64,
        seed=seed,
        algorithm=PPOConfig(
            policy=PolicyConfig(hidden_sizes=(64, 64), noise_correlation=0.8),
            learning_rate=1e-3,
            entropy_coefficient=0.008,
            num_epochs=8,
            minibatch_size=1024,
            target_kl=None,
            normalize_rewards=True,
        ),
        preferences=PreferencesConfig(
            # A clean landing is not there to be judged before a third of the run is over: questions are left for it.
            schedule=LabelSchedule(budget=budget, initial_share=0.25, decay_share=0.2),
            teacher=teacher_named(teacher),
            people=people_of(teacher),
            segment_length=25,
            acquisition=acquisition,
            num_candidates=20,
            refit_every=30,
            # The first policy learns under a reward that is still wrong, and mostly ends with flips by way of the head.
            restart_share=0.5,
            exploration=2.0,
            model=PreferenceModelConfig(
                num_members=5,
                hidden_sizes=(32, 32),
                activation="tanh",
                inputs=("next_observation",),
                observation_columns=SEEN,
                weight_decay=3.0,
                max_epochs=20,
                lapse=0.2,
            ),
        ),
    )
