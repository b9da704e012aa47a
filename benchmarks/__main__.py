"""`python -m benchmarks NAME`: measure one benchmark, or all, and print one JSON object for each.

The exit code is 0 when every target is met or the run is a smoke test, 1 when one is missed,
2 when one cannot be measured.
"""

import argparse
import sys
from collections.abc import Sequence

from benchmarks import (
    acquisition,
    airl_transfer,
    annotator_time,
    annotators,
    api_fuzz,
    asking,
    backflip,
    chat_load,
    chat_stop,
    console_latency,
    console_overhead,
    crash_soak,
    drift,
    evaluative,
    exploited_reward,
    faults,
    gpu_lm,
    groups,
    guards,
    helpdesk,
    helpdesk_adversarial,
    hh_reward_model,
    honesty,
    imitation,
    ingest,
    kinds,
    mce_irl,
    mujoco_batch,
    over_optimisation,
    overseers,
    oversight_overhead,
    ppo_cartpole,
    ppo_hopper,
    preferences,
    preferences_imitation,
    release_gate,
    rl_trl,
    sft_rm_trl,
    shield,
    stop,
    toxicity,
    two_costs,
    velocity,
    velocity_omnisafe,
)
from benchmarks.harness import RESULTS, Benchmark, BenchmarkError, Result, run

BENCHMARKS: tuple[Benchmark, ...] = (
    backflip.BENCHMARK,
    preferences.BENCHMARK,
    acquisition.BENCHMARK,
    kinds.BENCHMARK,
    asking.BENCHMARK,
    mujoco_batch.BENCHMARK,
    ingest.BENCHMARK,
    console_overhead.BENCHMARK,
    crash_soak.BENCHMARK,
    api_fuzz.BENCHMARK,
    console_latency.BENCHMARK,
    annotator_time.BENCHMARK,
    chat_load.BENCHMARK,
    chat_stop.BENCHMARK,
    ppo_cartpole.BENCHMARK,
    ppo_hopper.BENCHMARK,
    preferences_imitation.BENCHMARK,
    mce_irl.BENCHMARK,
    imitation.BENCHMARK,
    airl_transfer.BENCHMARK,
    over_optimisation.BENCHMARK,
    honesty.BENCHMARK,
    exploited_reward.BENCHMARK,
    release_gate.BENCHMARK,
    overseers.BENCHMARK,
    stop.BENCHMARK,
    faults.BENCHMARK,
    oversight_overhead.BENCHMARK,
    toxicity.BENCHMARK,
    guards.BENCHMARK,
    gpu_lm.BENCHMARK,
    hh_reward_model.BENCHMARK,
    helpdesk.BENCHMARK,
    annotators.BENCHMARK,
    drift.BENCHMARK,
    groups.BENCHMARK,
    helpdesk_adversarial.BENCHMARK,
    sft_rm_trl.BENCHMARK,
    rl_trl.BENCHMARK,
    shield.BENCHMARK,
    velocity.BENCHMARK,
    two_costs.BENCHMARK,
    velocity_omnisafe.BENCHMARK,
    evaluative.BENCHMARK,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line names; returns the exit code."""
    options = _parser().parse_args(arguments)
    if options.save and options.quick:
        print(
            "--quick is a smoke test: its figures are not saved. Leave one of --quick and --save out.", file=sys.stderr
        )
        return 2
    exit_code = 0
    for benchmark in BENCHMARKS:
        if options.name not in (benchmark.name, "all"):
            continue
        try:
            result = run(benchmark, options.seeds or ([0] if options.quick else [0, 1, 2]), quick=options.quick)
        except BenchmarkError as error:
            print(f"{benchmark.name}: {error}", file=sys.stderr)
            exit_code = 2
            continue
        _hand_over(result, one_line=options.json, save=options.save)
        if not result.holds and not options.quick:
            exit_code = max(exit_code, 1)
    return exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure heeler; one JSON object a benchmark goes to standard output, progress to standard error.",
        epilog="\n".join(f"{benchmark.name}: {benchmark.about}" for benchmark in BENCHMARKS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=(*(benchmark.name for benchmark in BENCHMARKS), "all"))
    parser.add_argument("--seeds", type=int, nargs="+", help="0 1 2 unless given; with --quick 0")
    parser.add_argument("--quick", action="store_true", help="a smoke test of at most a minute; never quoted")
    parser.add_argument("--json", action="store_true", help="each object on one line")
    parser.add_argument("--save", action="store_true", help="write each to benchmarks/results/NAME.json, too")
    return parser


def _hand_over(result: Result, *, one_line: bool, save: bool) -> None:
    text = result.to_json(indent=None if one_line else 2)
    print(text, flush=True)
    if save:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{result.name}.json").write_text(result.to_json(indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
