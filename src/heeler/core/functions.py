"""Functions that settings name: `MODULE:NAME` or `FILE.py:NAME`."""

import hashlib
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from heeler.core.errors import ConfigError, did_you_mean


def load_function(target: str) -> Callable[..., Any]:
    """A function by its name.

    Args:
        target: `FILE.py:NAME`, or `MODULE:NAME` of a module that Python finds.

    Raises:
        ConfigError: there is no such file, module or function, or it fails while it is read.
    """
    where, colon, name = target.rpartition(":")
    if not colon or not where or not name:
        raise ConfigError(f"a function is named FILE.py:NAME or MODULE:NAME, got {target!r}")
    try:
        found: Any = _file(Path(where)) if where.endswith(".py") else import_module(where)
    except ConfigError:
        raise
    # A script without a guard may end the process.
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{where} cannot be imported for {name!r}: {type(error).__name__}: {error}") from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise ConfigError(f"{where} has no function {name!r}.{did_you_mean(part, dir(found))}")
        found = getattr(found, part)
    if not callable(found):
        raise ConfigError(f"{target} must be a function, got {type(found).__name__}")
    return found


def _file(path: Path) -> ModuleType:
    """What a file holds, run once as long as it stays the same: another function of it may be wanted too."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"there is no file {path} to take a function from: {error.strerror or error}") from error
    place = path.resolve()
    name = f"{place.stem}_{hashlib.sha256(str(place).encode() + content).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, place)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    # Dataclasses look their module up by its name.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
