"""What the command line says of the service beside a run, before anything is started."""

import socket
from pathlib import Path

import pytest

from heeler.cli import browser, main
from heeler.cli.console import Console, ServeFlags
from heeler.core.errors import ConfigError
from heeler.core.locks import held_alone, is_held
from heeler.service.folder import LOCK_NAME, is_served, last_address, may_be_served, tell_address


@pytest.mark.parametrize(
    ("flags", "people", "wanted"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"serve": True}, False, True),
        ({"no_serve": True}, True, False),
        ({"port": 9000, "open": True}, True, True),
    ],
)
def test_a_run_is_served_where_people_answer_or_it_is_asked_for(flags, people, wanted):
    assert ServeFlags(**flags).wants(people=people) is wanted


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"serve": True, "no_serve": True}, "--serve and --no-serve exclude each other"),
        ({"port": 9000}, "--port is for a run that is served, and this one is not; give --serve too"),
        ({"open": True, "no_serve": True}, "--open is for a run .* is not; leave --no-serve out"),
        ({"serve": True, "port": 65536}, "port must be 0 to 65535, got 65536"),
    ],
)
def test_flags_that_would_be_ignored_are_refused(flags, message):
    with pytest.raises(ConfigError, match=message):
        ServeFlags(**flags).wants(people=False)


def test_the_command_line_refuses_them_before_anything_is_written(tmp_path, capsys):
    for name in ("run", "resume"):
        arguments = [name, "ppo", "--env", "CartPole-v1"] if name == "run" else [name, str(tmp_path / "none")]
        assert main([*arguments, "--serve", "--no-serve", *(["--run-dir", str(tmp_path / "x")] * (name == "run"))]) == 2
    assert "--serve and --no-serve exclude each other" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_tells_where_it_is_served_while_it_is(tmp_path: Path):
    assert not is_served(tmp_path)
    assert last_address(tmp_path) is None
    with held_alone(tmp_path / LOCK_NAME, busy="busy"):
        assert is_served(tmp_path)
        tell_address(tmp_path, "http://127.0.0.1:8642")
    assert not is_served(tmp_path)
    assert last_address(tmp_path) == "http://127.0.0.1:8642"
    for content in ("", "[]", '{"url": 3}', "\x00"):
        (tmp_path / ".service.json").write_text(content)
        assert last_address(tmp_path) is None


def test_who_looks_keeps_nobody_from_holding(tmp_path: Path):
    path = tmp_path / LOCK_NAME
    with held_alone(path, busy="busy"):
        with pytest.raises(Exception, match="busy"), held_alone(path, busy="busy", patience_s=0.1):
            pass
        assert is_held(path)
    assert not is_held(path)


@pytest.mark.parametrize(("name", "may"), [("run", True), ("a b", False), (".run", False), ("x" * 129, False)])
def test_only_names_that_an_address_can_hold_are_served(tmp_path, name, may):
    assert may_be_served(tmp_path / name) is may


def test_a_link_is_not_served(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "run")
    assert not may_be_served(tmp_path / "link")


def test_a_named_port_must_be_free(tmp_path):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"cannot listen on 127\.0\.0\.1:{port}"):
            Console(tmp_path / "run", ServeFlags(port=port)).refuse_taken_port()
    Console(tmp_path / "run", ServeFlags(port=port)).refuse_taken_port()


def test_no_browser_is_opened_without_a_display(tmp_path, monkeypatch):
    opened, said = [], []
    monkeypatch.setattr(browser.sys, "platform", "linux")
    monkeypatch.setattr(browser.webbrowser, "open", lambda url: opened.append(url) or True)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    served = Console(tmp_path / "run", ServeFlags(open=True))
    served._say = said.append
    served._announce("http://127.0.0.1:1", "here")
    assert (opened, said[0]) == ([], "here")
    assert "no display here" in said[1]
    monkeypatch.setenv("DISPLAY", ":0")
    served = Console(tmp_path / "run", ServeFlags(open=True))
    served._say = said.append
    served._announce("http://127.0.0.1:1", "here")
    served._announce("http://127.0.0.1:2", "there")
    assert opened == ["http://127.0.0.1:1"], "once"
