"""`heeler infer`: from what people did, or chose, to a reward."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from heeler.cli.arguments import INTERRUPTED, OK, Json, print_json
from heeler.core.errors import ConfigError

if TYPE_CHECKING:
    from heeler.rewards.inverse.result import InverseResult

World = Annotated[
    tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="WORLD", help="an .npz with the world in tables")
]
Demonstrations = Annotated[
    tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="DEMONSTRATIONS", help="an .npz with states and actions")
]
Method = Literal["mce", "matching", "bayesian", "logit", "least-squares"]
_OF_CHOICES = ("logit", "least-squares")
_TAKES = {
    "mce": ("reward", "aim", "ridge"),
    "matching": ("reward", "rounds"),
    "bayesian": ("reward", "rationality", "prior", "prior_scale", "chains", "draws", "seed"),
    "logit": ("ridge",),
    "least-squares": ("ridge",),
}
_SETTINGS = {"rounds": "max_rounds", "chains": "num_chains", "draws": "num_draws"}
"""What a flag is called in the method's settings, where it is not called the same."""
_EVERY_S = 5.0


# Long by its arguments and their help alone.
def infer(
    world: World = None,
    demonstrations: Demonstrations = None,
    *,
    choices: Path | None = None,
    method: Method | None = None,
    reward: Literal["features", "state", "state-action"] | None = None,
    aim: Literal["match", "likelihood"] | None = None,
    ridge: float | None = None,
    rounds: int | None = None,
    rationality: float | None = None,
    prior: Literal["gaussian", "laplace"] | None = None,
    prior_scale: float | None = None,
    chains: int | None = None,
    draws: int | None = None,
    seed: int | None = None,
    out: Path | None = None,
    example: Path | None = None,
    json: Json = False,
) -> int:
    """Learn a reward from what people did in a world, or from what they chose, with what cannot be known of it.

    Takes a world and demonstrations, or --choices, or --example to make files to try it with.

    Args:
        world: an .npz with the world in tables.
        demonstrations: an .npz with states and actions.
        choices: a .csv or .npz with alternatives and which was taken, instead of a world and demonstrations.
        method: mce (the usual one), matching or bayesian; of choices logit (the usual one) or least-squares.
        reward: linear in features, or a number for each state, or state and action; features where the world has some.
        aim: of mce: match the demonstrators' visits, or make what they did as likely as can be.
        ridge: how strongly large rewards are held back.
        rounds: of matching, at most.
        rationality: of bayesian: how much likelier people take a better action.
        prior: of bayesian: of each parameter.
        prior_scale: of bayesian: how large rewards are beforehand.
        chains: of bayesian.
        draws: of bayesian: kept of each chain.
        seed: of bayesian.
        out: the folder to write to; without it inferred-METHOD beside the file of demonstrations or choices.
        example: write a world, demonstrations and choices into this folder, and nothing else.
        json: print the result as JSON.
    """
    given = {
        "reward": reward,
        "aim": aim,
        "ridge": ridge,
        "rounds": rounds,
        "rationality": rationality,
        "prior": prior,
        "prior_scale": prior_scale,
        "chains": chains,
        "draws": draws,
        "seed": seed,
    }
    set_flags = {name: value for name, value in given.items() if value is not None}
    if example is not None:
        others = {"WORLD": world, "--choices": choices, "--method": method, "--out": out} | set_flags
        return _write_example(example, others, as_json=json)
    source = _source(world, demonstrations, choices)
    chosen = method or ("mce" if choices is None else "logit")
    _refuse_others(chosen, choices is not None, set_flags)
    try:
        result = _inferred(chosen, world, demonstrations, choices, set_flags, _Telling(as_json=json))
    except KeyboardInterrupt:
        print("\nheeler: stopped; nothing was written", file=sys.stderr)
        return INTERRUPTED
    _write(result, source.parent / f"inferred-{chosen}" if out is None else out, as_json=json)
    return OK


def _write_example(folder: Path, others: dict[str, Any], *, as_json: bool) -> int:
    beside = next((name for name, value in others.items() if value is not None), None)
    if beside is not None:
        flag = beside if beside.startswith("-") or beside.isupper() else f"--{beside.replace('_', '-')}"
        raise ConfigError(f"{flag} would be ignored beside --example, which only writes files; leave one out")
    from heeler.rewards.inverse.examples import write_example

    files = write_example(folder)
    if as_json:
        print_json({"files": [str(path) for path in files]})
        return OK
    print("\n".join(map(str, files)))
    print(f"Try: heeler infer {files[0]} {files[1]}\n     heeler infer --choices {files[2]}")
    return OK


def _source(world: Path | None, demonstrations: Path | None, choices: Path | None) -> Path:
    """The file of what people did."""
    if choices is not None:
        if world is not None:
            raise ConfigError(f"{world} would be ignored beside --choices; leave one out")
        return choices
    if world is None or demonstrations is None:
        missing = "WORLD and DEMONSTRATIONS" if world is None else "DEMONSTRATIONS"
        raise ConfigError(
            f"{missing} must be named, or --choices FILE, or --example FOLDER to make files to try it with"
        )
    return demonstrations


def _refuse_others(method: str, has_choices: bool, set_flags: dict[str, Any]) -> None:
    if (method in _OF_CHOICES) != has_choices:
        right = ", ".join(_OF_CHOICES if has_choices else [name for name in _TAKES if name not in _OF_CHOICES])
        what = "--choices" if has_choices else "a world and demonstrations"
        raise ConfigError(f"--method {method} does not take {what}; choose one of {right}")
    for name in set_flags:
        if name not in _TAKES[method]:
            takers = ", ".join(own for own, takes in _TAKES.items() if name in takes)
            raise ConfigError(f"--{name.replace('_', '-')} would be ignored by --method {method}; it is of {takers}")


def _inferred(
    method: Method,
    world: Path | None,
    demonstrations: Path | None,
    choices: Path | None,
    set_flags: dict[str, Any],
    telling: "_Telling",
) -> "InverseResult":
    from heeler.loop.inferring import infer_from_choices, infer_from_demonstrations
    from heeler.rewards.inverse.bayesian import BayesianConfig
    from heeler.rewards.inverse.choices import ChoiceConfig
    from heeler.rewards.inverse.matching import FeatureMatchingConfig
    from heeler.rewards.inverse.max_causal_entropy import MaxCausalEntropyConfig

    settings = {_SETTINGS.get(name, name): value for name, value in set_flags.items()}
    if choices is not None:
        assert method in ("logit", "least-squares"), "others were refused"
        return infer_from_choices(choices, ChoiceConfig(method=method, **settings))
    configs = {"mce": MaxCausalEntropyConfig, "matching": FeatureMatchingConfig, "bayesian": BayesianConfig}
    assert world is not None and demonstrations is not None
    return infer_from_demonstrations(world, demonstrations, configs[method](**settings), on_progress=telling)


def _write(result: "InverseResult", folder: Path, *, as_json: bool) -> None:
    from heeler.loop.inferring import write_inference

    files = write_inference(result, folder)
    if as_json:
        print_json({"files": [str(path) for path in files], **result.to_dict()})
    else:
        print(_in_words(result) + f"\nReport: {files[-1]}")


class _Telling:
    """A line every few seconds."""

    def __init__(self, *, as_json: bool) -> None:
        self._stream = sys.stderr if as_json else sys.stdout
        self._told_s = time.monotonic()

    def __call__(self, words: str) -> None:
        if time.monotonic() - self._told_s >= _EVERY_S:
            self._told_s = time.monotonic()
            print(f"  {words}", file=self._stream, flush=True)


def _in_words(result: "InverseResult") -> str:
    from heeler.loop.words import number

    shown = min(result.num_parameters, 12)
    lines = [f"{result.method}: {'converged' if result.converged else 'NOT converged'}"]
    for place in range(shown):
        value, ends = float(result.parameter_N[place]), ""
        if result.low_N is not None and result.high_N is not None and result.low_N[place] == result.low_N[place]:
            low, high = float(result.low_N[place]), float(result.high_N[place])
            ends = f" ({result.interval_kind} interval {number(low)} to {number(high)})"
        known = "" if result.identification.is_identified_N[place] else " (not identified by itself)"
        lines.append(f"  {result.parameter_names[place]}: {number(value)}{ends}{known}")
    if shown < result.num_parameters:
        lines.append(f"  and {result.num_parameters - shown:,} more in the report")
    measures = (
        "feature_gap",
        "occupancy_gap",
        "margin",
        "log_likelihood_per_step",
        "accuracy",
        "distance_to_true_reward",
    )
    told = [
        f"{name.replace('_', ' ')} {number(value)}" for name in measures if (value := result.fit.get(name)) is not None
    ]
    lines.append(f"Fit: {', '.join(told)}")
    found = result.identification
    if found.is_computed:
        lines.append(f"Identified: {found.num_identified:,} of {found.num_parameters:,} dimensions")
    lines += [f"  not identified: {reason.words}" for reason in found.reasons]
    lines += [f"Note: {note}" for note in result.notes]
    return "\n".join(lines)
