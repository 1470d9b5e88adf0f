"""Options, help, and the last line of every failure."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys

import click
import pytest

from carnet.cli import contributed
from carnet.cli.application import SECTIONS, build
from carnet.cli.settings import Settings
from carnet.errors import UnavailableError
from carnet.version import __version__

OWN = [name for section in SECTIONS.values() for name in section]


def _leaves(command, path=()):
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from _leaves(child, (*path, name))
    else:
        yield path, command


def _commands():
    root = build()
    context = click.Context(root, obj=Settings())
    for name in OWN:
        yield from _leaves(root.get_command(context, name), (name,))


def test_help_lists_every_command_with_what_it_is_for(run):
    ran = run("--help")
    assert ran.code == 0
    for section in SECTIONS.values():
        for name, (_, text) in section.items():
            assert f"  {name} " in ran.out
            assert text in ran.out
    for name in ("init", "up", "down", "status", "demo", "policy"):
        assert f"  {name} " in ran.out


@pytest.mark.parametrize("path", [pytest.param(path, id=" ".join(path)) for path, _ in _commands()])
def test_every_command_explains_itself_with_an_example(run, path):
    ran = run(*path, "--help")
    assert ran.code == 0
    assert f"  carnet {path[0]}" in ran.out
    assert "Example" in ran.out


def test_the_examples_of_help_are_commands_that_parse():
    root = build()
    context = click.Context(root, obj=Settings())
    for path, command in _commands():
        for line in (command.help or "").splitlines():
            words = line.split("    ")[0].split()
            if words[:1] == ["carnet"]:
                arguments = shlex.split(line.strip().split("    ")[0])[1:]
                assert tuple(arguments[: len(path)]) == path
                with command.make_context(
                    path[-1], arguments[len(path) :], parent=context, resilient_parsing=False
                ):
                    pass


def test_no_command_shows_the_help_and_is_a_usage_error(run):
    ran = run()
    assert (ran.code, ran.out) == (2, "")
    assert "Usage: carnet" in ran.err


def test_the_version(run):
    assert run("--version").out == f"carnet {__version__}\n"


def test_a_mistyped_command_is_guessed(run):
    ran = run("promot", "x")
    assert ran.code == 2
    assert "Did you mean 'promote'?" in ran.err
    assert "carnet --help" in run("xyzzy").err


def test_usage_errors_are_objects_with_json(run):
    for arguments in (
        ["-o", "json", "pull"],
        ["pull", "--output=json"],
        ["pull", "x", "-ojson"],
        ["--output", "json", "nothing"],
    ):
        ran = run(*arguments)
        assert ran.code == 2
        assert set(ran.json) == {"error", "reason", "metadata"}
        assert ran.err.startswith("error: ")


@pytest.mark.parametrize("place", ["before", "behind"])
def test_global_options_are_taken_before_and_behind_the_command(run, federation, fraud, place):
    options = ["--dir", federation.folder, "--as", "bob", "-o", "json"]
    ran = run(*options, "ls", "dev") if place == "before" else run("ls", "dev", *options)
    assert ran.code == 0
    assert [each["reference"] for each in ran.json["models"]] == ["dev/risk/fraud"]


def test_the_option_behind_the_command_wins(run, federation, fraud):
    ran = run("--dir", "nowhere", "--as", "mallory", "ls", "--dir", federation.folder, "--as", "ci")
    assert ran.code == 0


def test_a_missing_federation_says_what_to_do(run, tmp_path):
    ran = run("ls", "--dir", tmp_path / "nothing")
    assert ran.code == 2
    assert "carnet init" in ran.err


def test_the_surroundings_choose_folder_and_identity(run, federation, fraud, monkeypatch):
    monkeypatch.setenv("CARNET_DIR", str(federation.folder))
    monkeypatch.setenv("CARNET_IDENTITY", "mallory")
    ran = run("ls", "-o", "json")
    assert ran.code == 3
    assert ran.json["reason"] == "NOT_FOUND"
    assert "mallory" in ran.json["error"]


def test_an_error_is_a_line_and_an_object_and_no_traceback(carnet):
    ran = carnet("show", "dev/risk/fraud@7", "-o", "json")
    assert ran.code == 3
    assert ran.json["reason"] == "NOT_FOUND"
    assert ran.err == f"error: {ran.json['error']}\n"
    assert "Traceback" not in ran.err


def test_verbose_shows_where_it_happened(carnet):
    assert "Traceback" in carnet("--verbose", "show", "dev/risk/fraud@7").err


@pytest.mark.parametrize(
    ("failure", "code", "said"),
    [
        (RuntimeError("boom"), 1, "this is a defect"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (click.Abort(), 130, "interrupted"),
        (UnavailableError("away \x1b[31m now"), 8, "away \ufffd[31m now"),
    ],
)
def test_whatever_happens_ends_in_a_line_and_a_code(carnet, monkeypatch, failure, code, said):
    def fail(self):
        raise failure

    monkeypatch.setattr(Settings, "client", fail)
    ran = carnet("ls")
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err
    assert "Traceback" not in ran.err


def test_a_reader_that_goes_away_is_no_failure_to_talk_about(federation, fraud):
    script = (
        "import sys; from carnet.cli.main import main\n"
        "sys.exit(main(['--dir', sys.argv[1], 'show', 'dev/risk/fraud@1']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(federation.folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.close()
        said = process.stderr.read()
        process.wait(30)
    assert "Traceback" not in said
    assert process.returncode == 1


class _Point:
    def __init__(self, name, value, loaded):
        self.name, self.value, self._loaded = name, value, loaded

    def load(self):
        if isinstance(self._loaded, Exception):
            raise self._loaded
        return self._loaded


@pytest.fixture
def contributing(monkeypatch):
    def install(**points):
        found = {name: _Point(name, f"some_package.x:{name}", value) for name, value in points.items()}
        monkeypatch.setattr(contributed, "contributed_entry_points", lambda: found)

    return install


def test_a_command_that_is_not_installed_says_which_extra_brings_it(run, contributing):
    contributing()
    ran = run("demo")
    assert ran.code == 2
    assert "pip install 'carnet[demo]'" in ran.err
    assert "demo" in run("--help").out


def test_a_command_whose_packages_are_missing_says_which(run, contributing):
    contributing(up=ModuleNotFoundError("no sqlmodel", name="sqlmodel"))
    ran = run("up", "-o", "json")
    assert ran.code == 2
    assert ran.json["metadata"] == {"package": "sqlmodel"}
    assert "carnet[server,sync]" in ran.json["error"]


def test_what_others_contribute_is_listed_and_run(run, contributing):
    @click.command()
    @click.option("--dir", "folder")
    @click.option("-o", "--output", default="text")
    def extra(folder, output):
        click.echo(json.dumps([folder, output]))

    contributing(extra=extra, broken=3)
    assert "Contributed by some_package." in run("--help").out
    assert run("--dir", "d", "-o", "json", "extra").json == ["d", "json"]
    assert run("--dir", "d", "extra", "--dir", "e").json == ["e", "text"]
    assert run("broken").code == 2
