"""Going on with a run under the configuration that it began with."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from heeler.core.errors import RunError
from heeler.core.rundir import Checkpoint, RunDirectory
from heeler.loop.config import from_dict, to_dict
from heeler.loop.going_on import config_text, refuse_changed_config
from tests.unit.loop.tiny import tiny_ppo


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(tmp_path / "run", to_dict(tiny_ppo()))


def saved(directory: RunDirectory, **state: str) -> Checkpoint:
    return directory.save_checkpoint(512, {}, state, keep=1)


def test_a_setting_that_was_changed_is_named_unless_it_may_be(directory):
    checkpoint, now = saved(directory, config=config_text(tiny_ppo())), replace(tiny_ppo(), seed=7)
    refuse_changed_config(directory, checkpoint, tiny_ppo(), from_dict)
    with pytest.raises(RunError, match=r"changed after step-512 was saved: seed from 0 to 7\. Put the old values back"):
        refuse_changed_config(directory, checkpoint, now, from_dict)
    refuse_changed_config(directory, checkpoint, now, from_dict, may_change=("seed",))


def test_what_there_was_no_setting_for_yet_was_not_changed(directory):
    values = yaml.safe_load(config_text(tiny_ppo()))
    del values["store_patience_s"]
    checkpoint = saved(directory, config=yaml.safe_dump(values))
    refuse_changed_config(directory, checkpoint, tiny_ppo(), from_dict)
    # Those of the first versions hold nothing of it.
    refuse_changed_config(directory, saved(directory), tiny_ppo(), from_dict)
