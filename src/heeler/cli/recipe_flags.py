"""What recipes there are and which arguments they take, read from their source.

To import a recipe is to import torch, which takes seconds. Help, lists and mistyped names should not wait for that.
"""

import ast
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import docstring_parser
import tyro

import heeler
from heeler.cli.console import PORT, ServeFlags
from heeler.core.errors import ConfigError, did_you_mean

_SERVE = tyro.conf.arg(help="serve the run's folder to people and programs; so it is where people answer")
_NO_SERVE = tyro.conf.arg(help="serve nothing although people answer, who have another service, or are programs")
Serve = Annotated[bool, _SERVE, tyro.conf.FlagCreatePairsOff]
NoServe = Annotated[bool, _NO_SERVE, tyro.conf.FlagCreatePairsOff]
Port = Annotated[int | None, tyro.conf.arg(help=f"where to serve; {PORT} or the next that is free if not given")]
Open = Annotated[bool, tyro.conf.arg(help="open a browser there, where this machine has a display")]

REQUIRED = object()
"""The default of an argument that has none."""

# The types that a recipe's argument may have; more are added here when a recipe needs them.
_TYPES: Mapping[str, Any] = {"bool": bool, "int": int, "float": float, "str": str}


@dataclass(frozen=True)
class Argument:
    """One argument of a recipe."""

    name: str
    type: Any
    default: Any
    """`REQUIRED` where it must be given."""
    help: str


@dataclass(frozen=True)
class RecipeFlags:
    """A recipe as the command line sees it."""

    name: str
    summary: str
    arguments: tuple[Argument, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        arguments = [
            {"name": a.name, "type": _type_name(a.type), "required": a.default is REQUIRED, "help": a.help}
            | ({} if a.default is REQUIRED else {"default": a.default})
            for a in self.arguments
        ]
        return {"name": self.name, "summary": self.summary, "arguments": arguments}


def read_recipes() -> dict[str, RecipeFlags]:
    """Every recipe of `heeler.recipes.RECIPES`, by name, without importing it."""
    package = _source("heeler.recipes.__init__")
    sources: dict[str, str] = {}
    for node in package.body:
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            sources |= {alias.asname or alias.name: node.module for alias in node.names}
    return {name: _read(name, function, sources[function]) for name, function in _listed(package).items()}


def recipe_named(name: str, recipes: Mapping[str, RecipeFlags]) -> RecipeFlags:
    """The recipe of that name.

    Raises:
        ConfigError: there is none; says which there are.
    """
    if name not in recipes:
        raise ConfigError(f"there is no recipe {name!r}.{did_you_mean(name, recipes)} There are: {', '.join(recipes)}")
    return recipes[name]


def _source(module: str) -> ast.Module:
    # importlib would import the parents of a module in order to find it.
    path = Path(heeler.__file__).parent.joinpath(*module.split(".")[1:]).with_suffix(".py")
    return ast.parse(path.read_text("utf-8"))


def _listed(package: ast.Module) -> dict[str, str]:
    """Names on the command line and the functions that they stand for, from the source of `RECIPES`."""
    for node in package.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "RECIPES":
            assert isinstance(node.value, ast.Dict)
            pairs = zip(node.value.keys, node.value.values, strict=True)
            return {ast.literal_eval(key): value.id for key, value in pairs if key and isinstance(value, ast.Name)}
    raise AssertionError("heeler.recipes has no RECIPES: Mapping[...] = {...}")


def _read(name: str, function: str, module: str) -> RecipeFlags:
    definition = next(n for n in _source(module).body if isinstance(n, ast.FunctionDef) and n.name == function)
    doc = docstring_parser.parse(ast.get_docstring(definition) or "")
    helps = {parameter.arg_name: " ".join((parameter.description or "").split()) for parameter in doc.params}
    named = zip(definition.args.kwonlyargs, definition.args.kw_defaults, strict=True)
    arguments = tuple(
        Argument(
            name=argument.arg,
            type=_type(argument.annotation, f"{module}.{function}"),
            default=REQUIRED if default is None else ast.literal_eval(default),
            help=helps.get(argument.arg, ""),
        )
        for argument, default in named
    )
    return RecipeFlags(name, doc.short_description or "", arguments)


def _type(annotation: ast.expr | None, where: str) -> Any:
    """The type that an annotation names: one of `_TYPES`, a `Literal`, or several of them with `|`."""
    match annotation:
        case ast.Name(id=name) if name in _TYPES:
            return _TYPES[name]
        case ast.Constant(value=None):
            return None
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _type(left, where) | _type(right, where)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            return Literal[ast.literal_eval(choices)]
        case _:
            shown = "nothing" if annotation is None else ast.unparse(annotation)
            raise AssertionError(f"{where}: a flag cannot be made of an argument annotated with {shown}")


def _type_name(value: Any) -> str:
    return value.__name__ if isinstance(value, type) else str(value)


@dataclass(frozen=True)
class RunArguments:
    """What `heeler run RECIPE` was given."""

    recipe: Mapping[str, Any]
    """The recipe's own arguments."""
    run_dir: Path | None
    store: str
    settings: tuple[str, ...]
    """`a.b=value` each."""
    json: bool
    serve: ServeFlags


def _common_fields() -> list[tuple[str, Any, Any]]:
    run_dir = tyro.conf.arg(help="the run's directory; runs/RECIPE-ENV-seedN if it is not given", metavar="DIR")
    store = tyro.conf.arg(
        help="a PostgreSQL database for the run's questions and answers, in place of heeler.db in its directory; a "
        "password goes into PGPASSWORD or ~/.pgpass",
        metavar="postgresql://HOST/DATABASE",
    )
    override = tyro.conf.arg(help="change any setting by its dotted name; may be given again", metavar="NAME=VALUE ...")
    json = tyro.conf.arg(help="print the result as JSON; progress goes to the error stream")
    append = tyro.conf.UseAppendAction[tuple[tuple[str, ...], ...]]
    return [
        ("run_dir", Annotated[Path | None, run_dir], dataclasses.field(default=None)),
        ("store", Annotated[str, store], dataclasses.field(default="")),
        ("set", Annotated[append, override], dataclasses.field(default=())),
        ("json", Annotated[bool, json], dataclasses.field(default=False)),
        ("serve", Serve, dataclasses.field(default=False)),
        ("no_serve", NoServe, dataclasses.field(default=False)),
        ("port", Port, dataclasses.field(default=None)),
        ("open", Open, dataclasses.field(default=False)),
    ]


def argument_class(recipe: RecipeFlags) -> type:
    """A dataclass with the recipe's arguments and those that every run takes, for tyro to fill."""
    own = [
        (
            argument.name,
            Annotated[argument.type, tyro.conf.arg(help=argument.help)],
            dataclasses.field() if argument.default is REQUIRED else dataclasses.field(default=argument.default),
        )
        for argument in recipe.arguments
    ]
    return dataclasses.make_dataclass("Arguments", [*own, *_common_fields()], kw_only=True)


def run_arguments(recipe: RecipeFlags, filled: Any) -> RunArguments:
    """From a filled `argument_class` to its parts."""
    values = {argument.name: getattr(filled, argument.name) for argument in recipe.arguments}
    settings = tuple(setting for some in filled.set for setting in some)
    flags = ServeFlags(serve=filled.serve, no_serve=filled.no_serve, port=filled.port, open=filled.open)
    return RunArguments(values, filled.run_dir, filled.store, settings, filled.json, flags)
