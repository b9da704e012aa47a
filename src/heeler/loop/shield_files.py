"""A shield in a file of its own, to be switched on over a policy that learned without it."""

from pathlib import Path

import yaml

from heeler.core.errors import ConfigError
from heeler.loop.settings import validated
from heeler.safety.shields.config import ShieldConfig


def read_shield(path: Path) -> ShieldConfig:
    """The settings in a YAML file, in the form that they have under `shield` in a run's file.

    Raises:
        ConfigError: it cannot be read, or a setting is unknown, missing or wrong; names the file and the setting.
    """
    try:
        values = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"the shield {path} cannot be read: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"the shield {path} is no YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(
            f"the shield {path} must be a mapping of settings, such as check and fallback; got {values!r:.80}"
        )
    try:
        return validated(ShieldConfig, values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
