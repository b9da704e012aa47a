"""`heeler feedback`: a run's answers to a file, and a file's answers into a run."""

import sys
from collections.abc import Mapping, Sequence
from typing import Annotated

import tyro

from heeler.cli.arguments import OK, Json, Run, print_json, sub_command
from heeler.core.errors import ConfigError

File = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="FILE", help="the file; - for standard output")]
FileIn = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="FILE", help="the file; - for standard input")]
New = Annotated[bool, tyro.conf.arg(help="make RUN, a folder of texts in which nothing learns")]
FormatName = Annotated[str, tyro.conf.arg(help="jsonl (heeler's own, all of it), pairs, label-studio or argilla")]

Kind = Annotated[str | None, tyro.conf.arg(help="only questions of this kind, for label-studio and argilla")]
Open = Annotated[
    bool, tyro.conf.arg(help="also questions about texts that nobody has answered, for label-studio and argilla")
]
OneKind = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="KIND", help="of the questions, as preference")]
Program = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="FORMAT", help="label-studio or argilla")]
Scale = Annotated[
    tuple[float, float] | None,
    tyro.conf.arg(
        metavar="LOW HIGH", help="ends of the scale of ratings that do not say, for label-studio and argilla"
    ),
]


def feedback(arguments: Sequence[str]) -> int:
    """Write a run's answers to a file, take in those of one, or say what each said: export RUN FILE, import, settings,
    worth RUN."""
    commands = {"export": export, "import": import_, "settings": settings, "worth": worth}
    return sub_command("feedback", commands, arguments, about=feedback.__doc__ or "")


def export(
    run: Run,
    file: File,
    *,
    format: FormatName = "jsonl",
    kind: Kind = None,
    open: Open = False,
    json: Json = False,
) -> int:
    """Write a run's answers to a file, which appears whole or not at all; the run may go on meanwhile.

    Args:
        run: the run's directory; nothing in it is changed.
        file: the file; - for standard output.
        format: jsonl (heeler's own, all of it), pairs, label-studio or argilla.
        kind: only questions of this kind, for label-studio and argilla.
        open: also questions about texts that nobody has answered, for label-studio and argilla.
        json: print the result as JSON.
    """
    if json and file == "-":
        raise ConfigError("--json prints on standard output, and so would FILE -; name a file")
    from heeler.loop.transferring import export_run_feedback

    exported = export_run_feedback(run, file, format, kind=kind, with_open=open)
    _tell_left_out(exported.left_out, f"{format} has no place for")
    if json:
        print_json({"run": str(run), "file": file, "format": format, **exported.to_dict()})
    else:
        more = f" and {_questions(exported.num_open)}" if exported.num_open else ""
        print(f"{_answers(exported.num_answers)}{more} in {file}", file=sys.stderr if file == "-" else sys.stdout)
    return OK


def import_(
    run: Run,
    file: FileIn,
    *,
    format: FormatName = "jsonl",
    new: New = False,
    scale: Scale = None,
    json: Json = False,
) -> int:
    """Take a file's answers into a run, all of them or none; the run may go on meanwhile, and doing it again is safe.

    Args:
        run: the run's directory.
        file: the file; - for standard input.
        format: jsonl (heeler's own, all of it), pairs, label-studio or argilla.
        new: make RUN, a folder of texts in which nothing learns.
        scale: ends of the scale of ratings that do not say, for label-studio and argilla.
        json: print the result as JSON.
    """
    from heeler.loop.transferring import import_run_feedback

    imported = import_run_feedback(run, file, format, new=new, scale=scale)
    _tell_left_out(imported.left_out, "passed over")
    if json:
        print_json({"run": str(run), "file": file, "format": format, **imported.to_dict()})
        return OK
    known = f", {imported.num_known:,} were there already" if imported.num_known else ""
    print(f"{_answers(imported.num_answers)} taken in{known}")
    if imported.num_queries > imported.num_answers:
        print(f"New questions: {imported.num_queries:,}, about {imported.num_segments:,} new texts or clips")
    if imported.annotators:
        print(f"New annotators: {', '.join(imported.annotators)}")
    return OK


def settings(format: Program, kind: OneKind) -> int:
    """Print what Label Studio (a labeling configuration) or Argilla (a dataset's settings) needs to show texts.

    Args:
        format: label-studio or argilla.
        kind: of the questions: preference, rating, evaluation, critique, correction or demonstration.
    """
    from heeler.feedback.transfer import tool_settings

    print(tool_settings(format, kind), end="")
    return OK


def worth(run: Run, /, *, most: int = 20, json: Json = False) -> int:
    """Say which answers of a run of `kinds` said most of what is wanted, in bits, as its newest checkpoint has it.

    Args:
        run: the run's directory.
        most: so many are printed, those that said most; --json prints all.
        json: print the result as JSON.
    """
    from heeler.core.rundir import RunDirectory
    from heeler.loop.kinds.answer_worth import worth_in_run

    if most < 1:
        raise ConfigError(f"--most must be at least 1, got {most}")
    answers = worth_in_run(RunDirectory.open(run))
    if json:
        print_json({"answers": [{**vars(one), "bits_per_s": one.bits_per_s} for one in answers]})
        return OK
    known = [one.bits for one in answers if one.bits is not None]
    print(f"{_answers(len(answers))}; {len(known):,} came when something was learned already: {sum(known):.1f} bits")
    for one in answers[:most]:
        said = "came first  " if one.bits is None else f"{one.bits:6.2f} bits"
        print(
            f"{said}  {one.seconds:5.1f} s  {one.kind:<13}  answer {one.position:,} by {one.person} to {one.query_id}"
        )
    return OK


def _answers(num: int) -> str:
    return "1 answer" if num == 1 else f"{num:,} answers"


def _questions(num: int) -> str:
    return "1 open question" if num == 1 else f"{num:,} open questions"


def _tell_left_out(left_out: Mapping[str, int], why: str) -> None:
    """On the error stream, so that what a script reads stays clean."""
    for what, num in left_out.items():
        print(f"heeler: {why} {num:,} {what}", file=sys.stderr)
