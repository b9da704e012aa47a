"""A shop's help desk: a closed world of text in which what is true is known."""

from heeler.envs.helpdesk.checking import Findings, check
from heeler.envs.helpdesk.knowledge import Knowledge
from heeler.envs.helpdesk.questions import Item, Split, items

__all__ = ["Findings", "Item", "Knowledge", "Split", "check", "items"]
