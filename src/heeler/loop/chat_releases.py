"""Which version of a run's model answers: the release that is in use, a candidate in a share of the conversations, and
none that was taken back."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from heeler.core.errors import CheckpointError, HeelerError
from heeler.core.named import under
from heeler.core.releases import Release, Releases, newest_approved
from heeler.loop.chat_engine import LanguageChat, ServedVersion
from heeler.loop.chat_following import ChatFollower
from heeler.loop.released import TENSORS, released_file
from heeler.models.language.model import LanguageModel

MODEL_PREFIX = "model."
"""What the names of the model's weights begin with in a checkpoint of a run of a language model."""
LOOK_EVERY_S, DECIDE_EVERY_S = 0.2, 2.0
_TRY_AGAIN_S = 5.0
_log = logging.getLogger("heeler.serving")

Load = Callable[[Release], ServedVersion]


class ReleaseWatch:
    """Has a chat answer by the release that is in use, from the next answer on.

    A release that comes into use is loaded while the one before it goes on answering. One that is taken back answers
    nobody from that moment on: the one before it, which is kept ready for that, takes its place.

    Args:
        releases: of the run.
        chat: answers.
        first: the model before any release.
        load: reads a release.
        follower: has candidates tried, and takes back what does harm; None where nothing is followed. Closed with this.
    """

    def __init__(
        self,
        releases: Releases,
        chat: LanguageChat,
        first: ServedVersion,
        load: Load,
        follower: ChatFollower | None = None,
    ) -> None:
        self._releases, self._chat, self._first, self._load = releases, chat, first, load
        self._follower, self._decided_at = follower, 0.0
        self._lock = threading.Lock()
        self._ready: dict[str | None, ServedVersion] = {None: first}
        self._seen: object = None
        self._failed: dict[str, float] = {}
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="release-watch", daemon=True)

    def begin(self) -> None:
        """Load what is in use, then watch.

        Raises:
            CheckpointError: the release in use is damaged.
            RunError: a manifest is.
        """
        in_use = self._releases.in_use()
        if in_use is not None:
            self._ready[in_use.id] = self._load(in_use)
        self._settle()
        self._chat.on_ask, self._chat.on_close = self.look, self.close
        self._thread.start()

    def look(self) -> None:
        """Notice what has changed since the last look; takes microseconds where nothing has."""
        stamp = self._releases.stamp()
        if stamp != self._seen:
            self._settle()

    def _settle(self) -> tuple[Release | None, ...]:
        """Put into use what is to be in use, and have tried what is to be tried.

        Returns:
            What is in use, what takes its place if it is taken back, and what is tried.
        """
        with self._lock:
            self._seen = self._releases.stamp()
            found = self._releases.all()
            wanted = newest_approved(found)
            before = newest_approved([release for release in found if wanted is None or release.id != wanted.id])
            name = None if wanted is None else wanted.id
            if name in self._ready:
                self._chat.put(self._ready[name])
            elif not _may_go_on(self._chat.current, found):
                self._chat.take_back(
                    "the version in use was taken back, and the one before it is being loaded; try again"
                )
            tried = None if self._follower is None else self._follower.candidate(found)
            if self._follower is not None:
                ready = None if tried is None else self._ready.get(tried.id)
                self._chat.try_out(ready, self._follower.config.share)
            others = (release.id for release in (before, tried) if release is not None)
            kept = {None, name, *others, self._chat.current.release_id}
            self._ready = {one: version for one, version in self._ready.items() if one in kept}
            return wanted, before, tried

    def _work(self) -> None:
        while not self._is_over.wait(LOOK_EVERY_S):
            try:
                for release in self._settle():
                    if release is not None and release.id not in self._ready and self._may_be_tried(release):
                        self._make_ready(release)
                self._decide_if_due()
            except HeelerError as error:
                _log.error("releases cannot be followed: %s", error)

    def _decide_if_due(self) -> None:
        now = time.monotonic()
        if self._follower is None or now - self._decided_at < DECIDE_EVERY_S:
            return
        self._decided_at = now
        if self._follower.decide(self._releases.all()):
            self._settle()

    def _may_be_tried(self, release: Release) -> bool:
        return time.monotonic() - self._failed.get(release.id, -_TRY_AGAIN_S) >= _TRY_AGAIN_S

    def _make_ready(self, release: Release) -> None:
        try:
            version = self._load(release)
        except HeelerError as error:
            self._failed[release.id] = time.monotonic()
            _log.error("release %s cannot be served: %s", release.id, error)
            return
        with self._lock:
            self._ready[release.id] = version
        self._settle()

    def close(self) -> None:
        """Watch no more."""
        self._is_over.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._follower is not None:
            self._follower.close()


def _may_go_on(current: ServedVersion, releases: list[Release]) -> bool:
    """Whether a version may answer until another one is ready: not once its release was taken back."""
    if current.release_id is None:
        return True
    return any(release.id == current.release_id and release.withdrawn_by is None for release in releases)


def released_version(folder: Path, release: Release, base: LanguageModel) -> ServedVersion:
    """The model that a release holds.

    Args:
        folder: of the release's checkpoint.
        release: its manifest.
        base: the model that the run began with; it stays as it is.

    Raises:
        CheckpointError: a file is missing or altered, it does not say its version, or it is of another model.
    """
    if release.policy_version is None:
        raise CheckpointError(f"{folder}: its state.json does not say the policy version; it cannot be served")
    model = base.frozen_copy()
    put_weights(model, released_weights(folder, release), folder)
    return ServedVersion(
        model=model,
        version=release.policy_version,
        release_id=release.id,
        step=release.step,
        checkpoint_sha256=release.checkpoint_sha256,
    )


def put_weights(model: LanguageModel, tensors: Mapping[str, torch.Tensor], place: Path) -> None:
    """Give a model the weights of a checkpoint.

    Args:
        model: as the run began with it.
        tensors: the weights that learning changed, by their names in the model.
        place: by which messages name the checkpoint.

    Raises:
        CheckpointError: they are of another model.
    """
    parameters = dict(model.module.named_parameters())
    unknown = sorted(set(tensors) - set(parameters))
    if unknown or not tensors:
        what = (
            f"the model has no {unknown[0]}"
            if unknown
            else f"it holds no weights (names that begin with {MODEL_PREFIX})"
        )
        raise CheckpointError(f"{place}: {what}; it is of another model than the run began with")
    with torch.no_grad():
        for name, tensor in tensors.items():
            if parameters[name].shape != tensor.shape:
                raise CheckpointError(
                    f"{place}: {name} has the shape {list(tensor.shape)}, not {list(parameters[name].shape)}"
                )
            parameters[name].copy_(tensor)


def released_weights(folder: Path, release: Release) -> dict[str, torch.Tensor]:
    """The weights that learning changed, of a release, by their names in the model.

    Args:
        folder: of the release's checkpoint.
        release: its manifest.

    Raises:
        CheckpointError: a file is missing, altered or damaged.
    """
    try:
        return under(MODEL_PREFIX, load(released_file(folder, release, TENSORS)))
    except SafetensorError as error:
        raise CheckpointError(f"{folder}: it is damaged ({error}); withdraw the release") from error
