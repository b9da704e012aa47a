"""The card of a release: what it learned from and whom, how it was tested, what it goes by, and where its limits are.

It is written from what a run has (`lineage`), and from the released policy itself, which is asked in fresh episodes.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from heeler.core.errors import RunError
from heeler.core.releases import Release, Releases, state_of
from heeler.core.rundir import RunDirectory, write_atomically
from heeler.loop.config import from_dict
from heeler.loop.language.config import is_language_config
from heeler.loop.lineage import Lineage, lineage
from heeler.loop.release_card_page import as_html, as_markdown
from heeler.loop.release_card_parts import Section
from heeler.loop.release_card_sources import reward_told


@dataclass(frozen=True, kw_only=True)
class Card:
    """What is told of a release."""

    title: str
    release: str
    sections: tuple[Section, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


def write_card(directory: RunDirectory, release_id: str, folder: Path) -> tuple[Card, list[Path]]:
    """Write a release's card as Markdown and as a page that needs nothing else.

    Args:
        directory: of the run.
        release_id: of the release.
        folder: is made; a card that is there is replaced.

    Raises:
        KeyError: there is no such release.
        CheckpointError: what it is told from was altered.
        RunError: the folder cannot be written.
    """
    card = card_of(directory, release_id)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder} cannot be made: {error.strerror or error}") from error
    written = {f"{release_id}.md": as_markdown(card.title, card.sections)}
    written[f"{release_id}.html"] = as_html(card.title, card.sections)
    for name, text in written.items():
        write_atomically(folder / name, text.encode())
    return card, [folder / name for name in written]


def card_of(directory: RunDirectory, release_id: str) -> Card:
    """The card of a release. Errors are as of `write_card`."""
    releases = Releases(directory)
    found = releases.all()
    release = next((one for one in found if one.id == release_id), None)
    if release is None:
        raise KeyError(release_id)
    told = lineage(directory, release)
    is_language = is_language_config(directory.config())
    # What a language model's sections are made of is imported only for one.
    if is_language:
        from heeler.loop.release_card_language import language_sections as sections
    else:
        from heeler.loop.release_card_control import control_sections as sections
    state = state_of(release, releases.in_use())
    return Card(
        title=f"Release of step {release.step:,} of {directory.path.resolve().name}",
        release=release.id,
        sections=(_about(directory, told, state), *sections(directory, told)),
    )


def _about(directory: RunDirectory, told: Lineage, state: str) -> Section:
    release: Release = told.release
    config = directory.config()
    own = None if is_language_config(config) else from_dict(config)
    world = config["world"] if own is None else own.env.id
    rows = [
        ("State", state),
        ("Recipe and world", f"{config['recipe']}, {Path(str(world)).name}, seed {config['seed']}"),
        ("Release", release.id),
        ("Checkpoint", f"step {release.step:,}, SHA-256 {release.checkpoint_sha256}"),
        ("Policy version", "unknown" if release.policy_version is None else f"{release.policy_version:,}"),
        ("Answers", f"{len(told.answers):,}, SHA-256 {told.answers_sha256}"),
        ("Reward model", reward_told(told, own)),
        ("Gate's record", release.gate_sha256 or "none: no gate was asked"),
    ]
    return Section(title="What it is", heads=("", ""), rows=tuple(rows))
