"""What the documentation shows is true: examples in docstrings run, and commands and documents in pages parse."""

from __future__ import annotations

import ast
import doctest
import importlib
import pkgutil
import re
import shlex
from pathlib import Path

import click
import pytest

import carnet
import carnet.client
from carnet.bundle.document import BundleDocument
from carnet.cli.application import build
from carnet.documents import parse_document
from tests.support.federation import LocalFederation

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


# --- docstrings -------------------------------------------------------------------------------------------


def found_examples() -> dict[str, doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    names = [carnet.__name__, *(module.name for module in pkgutil.walk_packages(carnet.__path__, "carnet."))]
    modules = [importlib.import_module(name) for name in names if "_pb2" not in name]
    return {test.name: test for module in modules for test in finder.find(module) if test.examples}


EXAMPLES = found_examples()


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """A client of a federation in which dev has version 1 of risk/fraud, and nothing else."""
    federation = LocalFederation(tmp_path_factory.mktemp("examples") / "carnet")
    federation.start("dev", "sync")
    try:
        federation.publish(tmp_path_factory.mktemp("bundle"))
        with federation.client("ci") as client:
            yield client
    finally:
        federation.stop()


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_in_a_docstring_gives_what_it_says(client, name):
    test = EXAMPLES[name]
    test.globs = {"client": client}
    said: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(test, out=said.append, clear_globs=False)
    assert result.attempted == len(test.examples)
    assert result.failed == 0, "".join(said)


def test_the_public_operations_have_examples():
    assert sum(len(test.examples) for test in EXAMPLES.values()) >= 18
    shown = {name.rpartition(".")[2] for name in EXAMPLES}
    assert shown >= {
        "connect",
        "Client",
        "AsyncClient",
        "pull",
        "verify",
        "models",
        "versions",
        "resolve",
        "compare",
        "evidence",
        "aliases",
        "promotions",
        "environments",
    }


# --- pages ------------------------------------------------------------------------------------------------


def blocks(page: Path, *languages: str) -> list[str]:
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [text for language, text in fences if language in languages]


def typed_commands(page: Path) -> list[str]:
    """The lines of a page's terminal blocks that run `carnet`."""
    lines = [line for text in blocks(page, "console", "sh", "bash", "shell") for line in text.splitlines()]
    stripped = [line.removeprefix("$ ").strip() for line in lines]
    return [line for line in stripped if line.startswith("carnet ")]


def example_lines(command: click.Command, path: tuple[str, ...] = ()) -> list[str]:
    """The examples in the help of a command and of all below it."""
    text = f"{command.help or ''}\n{command.epilog or ''}"
    found = [line.strip() for line in text.splitlines() if re.match(r"\s+carnet ", line)]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found += example_lines(command.get_command(context, name), (*path, name))
    return found


def parse(line: str) -> None:
    """Parse a command line with all its arguments and options; runs nothing.

    Raises:
        click.UsageError: It would be refused.
    """
    command: click.Command = build()
    words = shlex.split(line, comments=True)[1:]
    context = command.make_context("carnet", words)
    while isinstance(command, click.Group):
        name, command, words = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, words, parent=context)


TYPED = {f"{page.name}: {line}": line for page in PAGES for line in typed_commands(page)}
HELPED = {line: line.split("   ")[0] for line in example_lines(build())}


@pytest.mark.parametrize("line", TYPED.values(), ids=TYPED)
def test_a_command_in_a_page_exists_with_its_options(line):
    parse(line)


@pytest.mark.parametrize("line", HELPED.values(), ids=HELPED)
def test_an_example_in_the_help_exists_with_its_options(line):
    parse(line)


def test_there_are_examples_and_a_wrong_one_is_found():
    assert len(TYPED) >= 12
    assert len(HELPED) >= 25
    for wrong in ("carnet pusch x y", "carnet push x y --forse", "carnet alias move x", "carnet pull x"):
        with pytest.raises(click.UsageError):
            parse(wrong)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_command_that_a_page_names_in_passing_exists(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for span in re.findall(r"`carnet ([a-z][^`]*)`", text):
        words = [word for word in span.split() if not word.startswith("-")]
        command: click.Command | None = build()
        while isinstance(command, click.Group) and words and words[0].isalpha() and words[0].islower():
            name = words.pop(0)
            command = command.get_command(click.Context(command), name)
            assert command is not None, f"`carnet {span}`: there is no {name}"


def test_the_document_in_the_readme_describes_a_bundle():
    (text,) = blocks(ROOT / "README.md", "yaml")
    document = parse_document(text.encode(), BundleDocument, name="carnet.yaml")
    assert [file.path for file in document.files] == ["model.joblib", "preprocessor.joblib"]


def test_the_program_in_the_readme_calls_what_there_is():
    (text,) = blocks(ROOT / "README.md", "python")
    called = {
        (node.value.id, node.attr)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    assert ("client", "push") in called
    for owner, name in called:
        if owner in ("carnet", "client"):
            assert hasattr(carnet if owner == "carnet" else carnet.Client, name), f"{owner}.{name}"


def test_the_targets_in_the_readme_are_the_makefiles():
    named = set(re.findall(r"\bmake ([a-z]+)\b", " ".join(blocks(ROOT / "README.md", "console"))))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"demo", "test"} <= named <= targets
