"""`heeler releases` lists what was released."""

import json
import uuid

import numpy as np

from heeler.cli import main
from heeler.core.releases import Releases
from heeler.core.rundir import RunDirectory


def test_releases_are_listed_with_their_state(tmp_path, capsys):
    path = tmp_path / "run"
    directory = RunDirectory.create(path, {})
    assert main(["releases", str(path)]) == 0
    assert "no release was proposed yet" in capsys.readouterr().out
    directory.save_checkpoint(1000, {"w": np.zeros(1)}, {}, keep=1)
    names = [str(uuid.uuid4()) for _ in range(2)]
    for name in names:
        Releases(directory).propose(name, 1000, "p-1", audit_head="0" * 64)
    Releases(directory).approve(names[0], "p-2")
    assert main(["releases", str(path)]) == 0
    newest, oldest = capsys.readouterr().out.splitlines()
    assert newest.startswith("proposed  step        1,000")
    assert oldest.startswith("in use")
    assert "approved by p-2" in oldest
    assert main(["releases", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["releases"]
    assert [(one["id"], one["state"]) for one in found] == [(names[1], "proposed"), (names[0], "in use")]


def test_what_is_no_run_is_told(tmp_path, capsys):
    assert main(["releases", str(tmp_path / "nowhere")]) == 2
    assert "is not a run" in capsys.readouterr().err
