"""Recipes read from their source are what they are when they are imported."""

import ast
import inspect
import typing

import pytest
import tyro

from heeler.cli.arguments import flag_name, parsed
from heeler.cli.recipe_flags import REQUIRED, _type, argument_class, read_recipes, run_arguments
from heeler.recipes import RECIPES


def test_every_recipe_is_there() -> None:
    assert list(read_recipes()) == list(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_the_source_tells_what_the_function_is(name: str) -> None:
    recipe, function = read_recipes()[name], RECIPES[name]
    parameters = inspect.signature(function).parameters.values()
    hints = typing.get_type_hints(function)
    assert [argument.name for argument in recipe.arguments] == [parameter.name for parameter in parameters]
    for argument, parameter in zip(recipe.arguments, parameters, strict=True):
        assert argument.type == hints[parameter.name]
        default = REQUIRED if parameter.default is inspect.Parameter.empty else parameter.default
        assert argument.default == default
        assert argument.help, f"recipe {name}: Args: says nothing of {argument.name}"
    assert recipe.summary == (inspect.getdoc(function) or "").splitlines()[0]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_takes_what_its_flags_give(name: str) -> None:
    recipe = read_recipes()[name]
    values = {"env": "Hopper-v5", "seed": "4", "data": "pairs.jsonl", "model": "first", "prompts": "prompts.jsonl"}
    values["demonstrations"] = "shown.npz"
    given = [part for a in recipe.arguments if a.name in values for part in (f"--{a.name}", values[a.name])]
    filled = tyro.cli(argument_class(recipe), args=[*given, "--set", "a=1", "b=2", "--set", "c=3", "--json"])
    arguments = run_arguments(recipe, filled)
    assert arguments.settings == ("a=1", "b=2", "c=3")
    assert arguments.json is True
    assert arguments.run_dir is None
    config = RECIPES[name](**arguments.recipe)
    assert (config.recipe, config.seed) == (name, 4)


@pytest.mark.parametrize(
    ("annotation", "type_"),
    [
        ("int", int),
        ("float | None", float | None),
        ("Literal['a', 'b']", typing.Literal["a", "b"]),
        ("int | Literal['all']", int | typing.Literal["all"]),
    ],
)
def test_annotations(annotation: str, type_: object) -> None:
    assert _type(ast.parse(annotation, mode="eval").body, "test") == type_


@pytest.mark.parametrize("annotation", ["Callable[[], int]", "__import__('os')", "open"])
def test_annotations_that_no_flag_can_have(annotation: str) -> None:
    with pytest.raises(AssertionError, match="test: a flag cannot be made of an argument annotated with"):
        _type(ast.parse(annotation, mode="eval").body, "test")


@pytest.mark.parametrize("name", RECIPES)
def test_every_flag_that_is_told_is_one_that_is_taken(name: str) -> None:
    recipe = read_recipes()[name]
    switches = [argument for argument in recipe.arguments if argument.type is bool]
    needed = [part for a in recipe.arguments if a.default is REQUIRED for part in (f"--{a.name}", "x")]
    given = [flag_name(argument.name, argument.default) for argument in switches]
    call = parsed(argument_class(recipe), f"run {name}", [*needed, *given])
    assert [getattr(call, a.name) for a in switches] == [not a.default for a in switches]


@pytest.mark.parametrize("name", RECIPES)
def test_a_flag_that_turns_something_off_says_what_happens_then(name: str) -> None:
    """What is on unless it is turned off is listed as `--no-lora`, and its words are read as what that flag does."""
    for argument in read_recipes()[name].arguments:
        if argument.default is True:
            assert f"with {flag_name(argument.name, True)} " in argument.help
