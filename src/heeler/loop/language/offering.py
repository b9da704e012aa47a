"""Gate and release: the model as it is now, offered in place of the one in use.

Nothing that the learner could have touched is judged: both sides are read from files, each by the hash that is in the
gate's record.
"""

import uuid

import torch

from heeler.core.gate_records import GateRecord
from heeler.core.named import under
from heeler.core.releases import Release, Releases
from heeler.core.rundir import Checkpoint
from heeler.core.seeding import stream
from heeler.evaluation.text_subject import LanguageSubject
from heeler.loop.acts import LEARNER, Acts
from heeler.loop.chat_releases import MODEL_PREFIX, put_weights, released_version
from heeler.loop.language.run import LanguageRun
from heeler.loop.overseers.texts import with_overseers
from heeler.loop.run_model import load_start
from heeler.loop.tensors import to_tensors
from heeler.loop.text_gating import Version, Watcher, gate_candidate
from heeler.models.language.model import LanguageModel

GATE = "gate"
"""Who approved what the gate passed, where no person has to."""


class Offering:
    """Offers the candidates of one run, each once, however often the run is killed.

    Args:
        run: to offer from.
        acts: takes a line for each.
        watch: is told what candidate and version in use answered.
    """

    def __init__(self, run: LanguageRun, acts: Acts, watch: Watcher = lambda suite, candidate, current: None) -> None:
        assert run.config.release is not None
        self._run, self._acts, self._watch, self._config = run, acts, watch, run.config.release
        self._releases = Releases(run.directory, needs_gate=True)

    def offer_if_due(self) -> GateRecord | None:
        """Gate the newest checkpoint and propose it, where that is due and was not done; returns the gate's record."""
        if not self._run.is_offer_due:
            return None
        checkpoint = self._run.directory.load_checkpoint(self._run.step)
        name = str(uuid.uuid5(uuid.NAMESPACE_OID, checkpoint.sha256))
        if any(release.id == name for release in self._releases.all()):
            return None
        record = self._gated(checkpoint)
        decided = "passed" if record.passed else "kept back"
        entry = self._acts.note("gate.decide", step=checkpoint.step, outcome=decided, sha256=record.sha256)
        release = self._releases.propose(name, checkpoint.step, LEARNER, audit_head=entry.sha256, gate=record)
        if record.passed and self._config.approval == GATE:
            self._releases.approve(name, GATE)
            self._acts.note("release.approve", step=checkpoint.step, release=release.id, approved_by=GATE)
        return record

    def _gated(self, checkpoint: Checkpoint) -> GateRecord:
        run, in_use = self._run, self._releases.in_use()
        suites = run.world.suites(self._config.suite_size, seed=suite_seed(run.config.seed))
        suites = with_overseers(suites, self._config.overseers)
        return gate_candidate(
            run.directory,
            self._config.gate,
            [suite for suite in suites if any(check.suite == suite.name for check in self._config.gate.checks)],
            candidate=Version(subject=self._subject(self._saved(checkpoint)), checkpoint_sha256=checkpoint.sha256),
            current=self._in_use(in_use),
            seed=run.config.seed,
            watch=self._watch,
        )

    def _in_use(self, release: Release | None) -> Version:
        """What people are answered by now."""
        if release is None:
            return Version(subject=self._subject(self._fresh(adapted=False)), checkpoint_sha256=None)
        folder = self._releases.checkpoint_folder(release)
        version = released_version(folder, release, self._fresh())
        return Version(subject=self._subject(version.model), checkpoint_sha256=release.checkpoint_sha256)

    def _saved(self, checkpoint: Checkpoint) -> LanguageModel:
        """The model that a checkpoint holds."""
        model = self._fresh()
        weights = {name: value for name, value in checkpoint.tensors.items() if name.startswith(MODEL_PREFIX)}
        place = self._run.directory.path / "checkpoints" / f"step-{checkpoint.step}"
        put_weights(model, under(MODEL_PREFIX, to_tensors(weights)), place)
        return model

    def _fresh(self, *, adapted: bool = True) -> LanguageModel:
        """The model that the run began with, read anew."""
        config = self._run.config
        with torch.random.fork_rng(devices=[]):
            # What an adapter begins with by chance is overwritten.
            return load_start(
                self._run.directory.path,
                lora=config.model.lora if adapted else None,
                dtype=config.model.dtype,
                device=config.model.device,
                trainable=False,
            )

    def _subject(self, model: LanguageModel) -> LanguageSubject:
        return LanguageSubject(model=model, sampling=self._run.config.sampling)


def suite_seed(seed: int) -> int:
    """Of the suites of a run: other prompts than those of any benchmark of whole numbers."""
    return int(stream(seed, "suites").integers(2**31, 2**32))
