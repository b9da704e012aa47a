"""One directory that holds a whole run: configuration, checkpoints, metrics. Any write may be the last one.

Files appear whole or not at all: each is written aside, flushed to the disk and renamed. A checkpoint carries the
SHA-256 of each of its files, and one that does not match is refused by name.

What reads and writes arrays and settings is imported where that is done: who stops a run is in a hurry, and needs none.
"""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Collection, Generator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from heeler.core.errors import CheckpointError, RunError
from heeler.core.locks import held_alone, holder_of, is_held
from heeler.core.processes import Process

if TYPE_CHECKING:
    import numpy as np

FORMAT = 2
RUN_ID_NAME = "run_id"
REPORT_NAME = "report.html"
"""Of the page about a run, which can be made anew at any time."""
_TENSORS, _STATE, _MANIFEST = "tensors.safetensors", "state.json", "manifest.json"
_LOCK = ".lock"
_PATIENCE_S = 0.2


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Everything that learning needs to go on."""

    step: int
    tensors: "dict[str, np.ndarray]"
    state: dict[str, Any]
    sha256: str
    """Of its manifest, and so of all of it."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write a whole file or nothing: aside, flushed, renamed over `path`.

    Raises:
        RunError: when the disk is full or read-only; what was at `path` stays.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        _write_flushed(aside, content)
        os.replace(aside, path)
        flush_directory(path.parent)
    except OSError as error:
        # A file system that is mounted read-only refuses this as well, even where there is nothing to remove.
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        raise _unwritable(path, error) from error


class RunDirectory:
    """A run on disk. `create` makes one, `open` finds one.

    Args:
        path: the directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path, config: Mapping[str, Any]) -> "RunDirectory":
        """Make the directory with its configuration, or take one that has the very same configuration.

        Raises:
            RunError: it belongs to another configuration, or cannot be written.
        """
        import yaml

        config_path = path / "config.yaml"
        text = yaml.safe_dump(dict(config), sort_keys=False)
        if config_path.exists():
            differing = _differences(cls.open(path).config(), dict(config))
            if differing:
                raise RunError(
                    f"{path} belongs to another configuration (differs in {', '.join(differing[:5])}); "
                    "choose another --run-dir, or go on with it by `heeler resume`"
                )
            return cls.open(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
            # A run that was killed while it was made leaves nothing but the configuration written aside.
            foreign = [entry.name for entry in path.iterdir() if not entry.name.startswith(".config.yaml.")]
        except OSError as error:
            raise _unwritable(path, error) from error
        if foreign:
            raise RunError(f"{path} is not empty and is not a run (it holds {foreign[0]}); choose another --run-dir")
        write_atomically(config_path, text.encode())
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> "RunDirectory":
        """The run at `path`.

        Raises:
            RunError: there is none.
        """
        if not (path / "config.yaml").is_file():
            raise RunError(f"{path} is not a run: it has no config.yaml; expected a directory made by `heeler run`")
        return cls(path)

    def config(self) -> dict[str, Any]:
        """The resolved configuration as it was saved."""
        import yaml

        from heeler.core.setting_files import read_settings

        try:
            config = read_settings((self.path / "config.yaml").read_text())
        except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise RunError(f"{self.path / 'config.yaml'} cannot be read: {error}") from error
        if not isinstance(config, dict):
            raise RunError(f"{self.path / 'config.yaml'} must hold a mapping of settings, got {type(config).__name__}")
        return cast(dict[str, Any], config)

    @property
    def has_identity(self) -> bool:
        """Whether the run was ever asked who it is."""
        return self._identity_path.exists()

    @property
    def _identity_path(self) -> Path:
        return self.path / RUN_ID_NAME

    def identity(self) -> str:
        """A UUID that is the run's own, drawn the first time; it stays when the directory is moved or renamed.

        Raises:
            RunError: it cannot be written or read.
        """
        path = self._identity_path
        aside = path.with_name(f".run_id.{os.getpid()}.tmp")
        try:
            if not path.exists():
                _write_flushed(aside, str(uuid.uuid4()).encode())
                # A link, unlike a renaming, leaves what another process has written meanwhile.
                with suppress(FileExistsError):
                    os.link(aside, path)
                aside.unlink()
                flush_directory(self.path)
            return str(uuid.UUID(path.read_text()))
        except OSError as error:
            with suppress(OSError):
                aside.unlink(missing_ok=True)
            raise _unwritable(path, error) from error
        except ValueError as error:
            raise RunError(f"{path} must hold a UUID; put it back from a copy of the run") from error

    @contextmanager
    def locked(self) -> Generator[None]:
        """Hold the run for one learner; the operating system lets go when the process dies.

        Raises:
            RunError: another process holds it, or it cannot be written.
        """
        busy = f"{self.path} is in use by another process; wait for it, or stop it first"
        with ExitStack() as stack:
            try:
                for name in ("segments", "media", "checkpoints"):
                    (self.path / name).mkdir(exist_ok=True)
                stack.enter_context(held_alone(self.path / _LOCK, busy=busy, patience_s=_PATIENCE_S))
            except OSError as error:
                raise _unwritable(self.path, error) from error
            self._put_back_replaced()
            yield

    def is_locked(self) -> bool:
        """Whether a learner is at work on this run at this moment; it may be looked at as often as one likes."""
        return is_held(self.path / _LOCK)

    def learner(self) -> Process | None:
        """The process that is at work on this run; None where there is none.

        Raises:
            RunError: there is one, and it does not say which.
        """
        return holder_of(self.path / _LOCK)

    # Checkpoints

    def save_checkpoint(
        self,
        step: int,
        tensors: "Mapping[str, np.ndarray]",
        state: Mapping[str, Any],
        *,
        keep: int,
        spare: Collection[int] = (),
    ) -> Checkpoint:
        """Write `checkpoints/step-N` aside, flush it, rename it, and remove all but the newest `keep`.

        Args:
            step: environment steps so far.
            tensors: arrays by name.
            state: JSON-ready values.
            keep: how many checkpoints stay.
            spare: steps of checkpoints that stay beside them.

        Raises:
            RunError: the disk is full or read-only, and earlier checkpoints stay as they were; or an old one cannot be
                removed.
        """
        import numpy as np
        from safetensors.numpy import save

        folder = self.path / "checkpoints"
        target, aside = folder / f"step-{step}", folder / f".step-{step}.tmp"
        files = {_TENSORS: save({k: np.asarray(v, order="C") for k, v in tensors.items()}), _STATE: _json(state)}
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        files[_MANIFEST] = _json({"format": FORMAT, "step": step, "sha256": hashes})
        try:
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
            for name, content in files.items():
                _write_flushed(aside / name, content)
            flush_directory(aside)
            # A checkpoint of the same step comes from a stretch that was lost and is walked again.
            replaced = folder / f".step-{step}.replaced"
            if target.exists():
                shutil.rmtree(replaced, ignore_errors=True)
                os.replace(target, replaced)
            os.replace(aside, target)
            flush_directory(folder)
            shutil.rmtree(replaced, ignore_errors=True)
        except OSError as error:
            shutil.rmtree(aside, ignore_errors=True)
            raise _unwritable(target, error) from error
        self._remove_old_checkpoints(step, keep, spare)
        return Checkpoint(step, dict(tensors), dict(state), hashlib.sha256(files[_MANIFEST]).hexdigest())

    def _remove_old_checkpoints(self, newest: int, keep: int, spare: Collection[int]) -> None:
        # What claims to be newer can only be one that was refused: it must not take the place of a sound one.
        for step in [step for step in self.checkpoint_steps() if step <= newest][:-keep]:
            if step in spare:
                continue
            folder = self.path / "checkpoints" / f"step-{step}"
            try:
                shutil.rmtree(folder)
            except OSError as error:
                raise RunError(
                    f"cannot remove {folder}, which is older than the {keep} that stay: {error.strerror or error}; "
                    "make it writable, or remove it yourself"
                ) from error

    def discard_checkpoints_after(self, step: int) -> None:
        """Remove the checkpoints of what was learned after `step`, the newest last: a kill on the way leaves the run as
        it was, or gone back, and nowhere in between.

        Raises:
            RunError: one cannot be removed.
        """
        for later in [s for s in self.checkpoint_steps() if s > step]:
            folder = self.path / "checkpoints" / f"step-{later}"
            try:
                shutil.rmtree(folder)
            except OSError as error:
                raise _unwritable(folder, error) from error

    def _put_back_replaced(self) -> None:
        """Undo a replacement that a kill cut short between its two renamings."""
        for replaced in (self.path / "checkpoints").glob(".step-*.replaced"):
            target = replaced.with_name(replaced.stem.removeprefix("."))
            if not target.exists():
                os.replace(replaced, target)

    def checkpoint_steps(self) -> list[int]:
        """Steps of the checkpoints here, oldest first."""
        names = (p.name for p in (self.path / "checkpoints").glob("step-*"))
        return sorted(int(name.removeprefix("step-")) for name in names if name.removeprefix("step-").isdigit())

    def load_checkpoint(self, step: int) -> Checkpoint:
        """The checkpoint of one step.

        Raises:
            CheckpointError: a file of it is missing, torn or altered (named in the message).
        """
        return checkpoint_in(self.path / "checkpoints" / f"step-{step}", step)

    def newest_checkpoint(self) -> tuple[Checkpoint | None, list[str]]:
        """The newest sound checkpoint (None when there is none), and why newer ones were refused."""
        refused: list[str] = []
        for step in reversed(self.checkpoint_steps()):
            try:
                return self.load_checkpoint(step), refused
            except CheckpointError as error:
                refused.append(str(error))
        return None, refused

    # Metrics

    @property
    def metrics_path(self) -> Path:
        """One flat JSON object a line, one line an update."""
        return self.path / "metrics.jsonl"

    def append_metrics(self, row: Mapping[str, Any]) -> int:
        """Add a line; returns the file's size after it, which a checkpoint keeps.

        Raises:
            RunError: the disk is full or read-only.
        """
        try:
            with self.metrics_path.open("ab") as file:
                file.write(_json(row) + b"\n")
                file.flush()
                return file.tell()
        except OSError as error:
            raise _unwritable(self.metrics_path, error) from error

    def truncate_metrics(self, size: int) -> None:
        """Forget the lines of a stretch that was lost and will be walked again."""
        if self.metrics_path.exists() and self.metrics_path.stat().st_size > size:
            os.truncate(self.metrics_path, size)

    def metrics(self) -> list[dict[str, Any]]:
        """All lines so far; a last line cut short by a crash is left out.

        Raises:
            RunError: the file cannot be read, or a line is damaged (named in the message).
        """
        if not self.metrics_path.exists():
            return []
        try:
            lines = self.metrics_path.read_bytes().split(b"\n")
        except OSError as error:
            raise RunError(f"{self.metrics_path} cannot be read: {error.strerror or error}") from error
        return [self._metrics_row(number, line) for number, line in enumerate(lines[:-1], 1)]

    def _metrics_row(self, number: int, line: bytes) -> dict[str, Any]:
        where, advice = f"{self.metrics_path}, line {number}", "put the file back from a copy, or mend that line"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise RunError(f"{where} is damaged ({error}); {advice}") from error
        if not isinstance(row, dict) or "step" not in row:
            raise RunError(f"{where} must be an object with a step, got {line[:40]!r}; {advice}")
        return cast(dict[str, Any], row)


def checkpoint_in(folder: Path, step: int) -> Checkpoint:
    """The checkpoint of a step that lies in a folder, such as a release's.

    Raises:
        CheckpointError: a file of it is missing, torn or altered (named in the message).
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        manifest_bytes = (folder / _MANIFEST).read_bytes()
        manifest = json.loads(manifest_bytes)
        contents = {name: (folder / name).read_bytes() for name in (_TENSORS, _STATE)}
        for name, content in contents.items():
            if hashlib.sha256(content).hexdigest() != manifest["sha256"][name]:
                raise CheckpointError(
                    f"checkpoint {folder} is refused: the SHA-256 of {name} does not match its manifest"
                )
        if manifest["format"] != FORMAT:
            raise CheckpointError(f"checkpoint {folder} has format {manifest['format']}, expected {FORMAT}")
        if manifest["step"] != step:
            raise CheckpointError(
                f"checkpoint {folder} is refused: it was saved as step-{manifest['step']}; give it that name again"
            )
        return Checkpoint(
            step, load(contents[_TENSORS]), json.loads(contents[_STATE]), hashlib.sha256(manifest_bytes).hexdigest()
        )
    except FileNotFoundError as error:
        raise CheckpointError(f"checkpoint {folder} is refused: {Path(error.filename).name} is missing") from error
    except OSError as error:
        raise CheckpointError(f"checkpoint {folder} is refused: it cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise CheckpointError(f"checkpoint {folder} is refused: its manifest cannot be read ({error})") from error


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, allow_nan=False).encode()


def _write_flushed(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def flush_directory(path: Path) -> None:
    """Have the names of files in a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(path: Path, error: OSError) -> RunError:
    return RunError(f"cannot write {path}: {error.strerror or error}; free some space or choose a writable --run-dir")


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Dotted names of the settings in which two configurations differ."""
    names: list[str] = []
    for key in dict.fromkeys((*old, *new)):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            names += _differences(cast(dict[str, Any], a), cast(dict[str, Any], b), f"{prefix}{key}.")
        elif a != b:
            names.append(f"{prefix}{key}")
    return names
