import os
from pathlib import Path

import pytest

from cli.local import emulator, pidfile, ports
from cli.local.layout import Layout
from cli.local.pidfile import Record
from cli.local.troubles import DidNotStart, NotInstalled, OtherPort, PortTaken


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path, tmp_path / "stack")
    layout.prepare()
    return layout


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "taken", lambda port: False)


def test_a_running_emulator_is_not_started_again(layout: Layout) -> None:
    pidfile.write(layout.pid_file, pidfile.record(os.getpid(), 4566))
    assert emulator.start(layout, 4566) is False


def test_a_stack_stays_on_its_port(layout: Layout) -> None:
    pidfile.write(layout.pid_file, pidfile.record(os.getpid(), 4566))
    with pytest.raises(OtherPort, match="runs on port 4566"):
        emulator.start(layout, 4567)


def test_a_taken_port_names_who_has_it(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "taken", lambda port: True)
    monkeypatch.setattr(ports, "owner", lambda port: "process 7 (nginx)")
    with pytest.raises(PortTaken, match=r"Port 4566 is taken by process 7 \(nginx\)") as caught:
        emulator.start(layout, 4566)
    assert "--port" in caught.value.hint


@pytest.mark.usefixtures("free")
def test_a_missing_environment_says_how_to_make_it(layout: Layout) -> None:
    with pytest.raises(NotInstalled) as caught:
        emulator.start(layout, 4566)
    assert "make setup" in caught.value.hint


@pytest.mark.usefixtures("free")
def test_a_stale_pid_file_is_no_running_emulator(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    pidfile.write(layout.pid_file, Record(os.getpid(), 1.0, 4566))
    monkeypatch.setattr(emulator, "_spawn", lambda *args, **more: os.getpid())
    assert emulator.start(layout, 4567) is True
    assert pidfile.read(layout.pid_file) == pidfile.record(os.getpid(), 4567)


@pytest.mark.usefixtures("free")
def test_state_stays_on_the_port_it_was_made_on(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulator, "_spawn", lambda *args, **more: os.getpid())
    emulator.start(layout, 4566)
    layout.pid_file.unlink()
    with pytest.raises(OtherPort, match="was made on port 4566"):
        emulator.start(layout, 4567)
    layout.wipe()
    assert emulator.start(layout, 4567) is True


def test_an_emulator_that_ended_says_its_last_words(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulator, "healthy", lambda port: False)
    layout.log.write_text("no module named ministack")
    with pytest.raises(DidNotStart, match="no module named ministack"):
        emulator.wait(layout, 4566)


def test_stopping_what_does_not_run_cleans_up(layout: Layout) -> None:
    pidfile.write(layout.pid_file, Record(os.getpid(), 1.0, 4566))
    assert emulator.stop(layout) is True
    assert not layout.pid_file.exists()


def test_the_emulator_sees_no_credentials_and_listens_on_loopback_only(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "real")
    monkeypatch.setenv("SPARK_TABLE", "other")
    seen = emulator._environment(layout, 4567, enforce_iam=True)
    assert "real" not in seen.values()
    assert "SPARK_TABLE" not in seen
    assert (seen["BIND_HOST"], seen["GATEWAY_PORT"], seen["AUTH"]) == ("127.0.0.1", "4567", "true")
    assert seen["NO_PROXY"] == "127.0.0.1,localhost"
