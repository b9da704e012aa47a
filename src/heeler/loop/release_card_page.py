"""A card's sections as Markdown, and as one page of HTML that needs nothing else."""

from collections.abc import Sequence
from html import escape
from importlib.resources import files

from heeler import __version__
from heeler.loop.release_card_parts import Section


def as_markdown(title: str, sections: Sequence[Section]) -> str:
    """The whole card in Markdown."""
    parts = [f"# {_plain(title)}", *(_section(section) for section in sections), f"Made by heeler {__version__}."]
    return "\n\n".join(parts) + "\n"


def _section(section: Section) -> str:
    parts = [f"## {_plain(section.title)}", *(_plain(text) for text in section.paragraphs)]
    if section.rows:
        heads = section.heads
        lines = [_row(heads), _row(["---"] * len(heads)), *(_row(row) for row in section.rows)]
        parts.append("\n".join(lines))
    parts += ["\n".join(f"- {_plain(point)}" for point in section.points)] if section.points else []
    return "\n\n".join(parts)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_plain(cell).replace("|", "\\|") for cell in cells) + " |"


def _plain(text: str) -> str:
    """One line in which nothing opens an element of HTML."""
    return " ".join(text.split()).replace("<", "&lt;")


def as_html(title: str, sections: Sequence[Section]) -> str:
    """The whole card as a page."""
    css = (files("heeler.loop") / "templates" / "report.css").read_text("utf-8")
    body = "\n".join(_html_section(section) for section in sections)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} · heeler</title>
<style>
{css}</style>
</head>
<body>
<main>
<header><h1>{escape(title)}</h1></header>
{body}
<footer>Made by heeler {escape(__version__)}.</footer>
</main>
</body>
</html>
"""


def _html_section(section: Section) -> str:
    parts = [f"<h2>{escape(section.title)}</h2>", '<div class="card">']
    parts += [f"<p>{escape(text)}</p>" for text in section.paragraphs]
    if section.rows:
        heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in section.heads)
        lines = ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in section.rows]
        head = f"<thead><tr>{heads}</tr></thead>" if any(section.heads) else ""
        parts.append(f'<div class="scroll"><table>{head}<tbody>\n' + "\n".join(lines) + "\n</tbody></table></div>")
    if section.points:
        parts.append("<ul>" + "".join(f"<li>{escape(point)}</li>" for point in section.points) + "</ul>")
    return "\n".join([f"<section>{parts[0]}", *parts[1:], "</div></section>"])
