"""A run of a language model as small as it gets."""

import dataclasses
from pathlib import Path

from heeler.loop.language.config import LanguageRunConfig
from heeler.oversight.gate_config import GateConfig
from heeler.recipes import helpdesk


def tiny_language_run(model: Path) -> LanguageRunConfig:
    """Four updates, answers by a crowd, a fit after the second, candidates after the second and the last.

    Args:
        model: folder of the model to begin with.
    """
    recipe = helpdesk(model=str(model), num_updates=4)
    assert recipe.learned is not None and recipe.asking is not None and recipe.release is not None
    checks = recipe.release.gate.checks
    # Of suites as small as these, only the loosest gate ever lets anything pass.
    loose = tuple(dataclasses.replace(check, margin=0.97 * check.max_difference) for check in checks)
    return dataclasses.replace(
        recipe,
        num_prompts=4,
        num_each=3,
        sampling=dataclasses.replace(recipe.sampling, max_new_tokens=6),
        learned=dataclasses.replace(recipe.learned, first_fit=10),
        asking=dataclasses.replace(recipe.asking, per_update=5, num_held_out=3, held_out_every=2),
        release=dataclasses.replace(recipe.release, every=2, suite_size=12, gate=GateConfig(checks=loose)),
        num_evaluation_items=6,
        checkpoint_every=3,
        keep_checkpoints=9,
        torch_threads=1,
    )
