"""Demonstrations from files and from people's answers, checked whole against the world that they are to be used in."""

from heeler.feedback.episodes.checking import checked
from heeler.feedback.episodes.npz_files import load_npz, save_npz
from heeler.feedback.episodes.reading import read_demonstrations

__all__ = ["checked", "load_npz", "read_demonstrations", "save_npz"]
