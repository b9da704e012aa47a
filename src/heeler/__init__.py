"""Online alignment: agents that go on learning from people while they work, inside limits, under watch."""

from importlib.metadata import version

__version__ = version("heeler")
