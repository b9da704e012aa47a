"""Settings as YAML that people write, in which a name is always a word."""

from typing import Any

import yaml

_BOOL, _TEXT = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:str"


class _Loader(yaml.SafeLoader):
    """YAML 1.1 takes the names `off`, `on`, `yes` and `no` for truth values; as values they stay such."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        for name, _ in node.value:
            if name.tag == _BOOL:
                name.tag = _TEXT
        return super().construct_mapping(node, deep)


def read_settings(text: str) -> Any:
    """What a YAML text says.

    Raises:
        yaml.YAMLError: it is none.

    >>> read_settings("{off: [kl_spike], is_open: off}")
    {'off': ['kl_spike'], 'is_open': False}
    """
    return yaml.load(text, Loader=_Loader)
