import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import psutil
import pytest

from cli.local import ports


class Address(NamedTuple):
    ip: str
    port: int


def connection(port: int | None, pid: int | None, status: str = psutil.CONN_LISTEN) -> Any:
    return SimpleNamespace(status=status, laddr=Address("127.0.0.1", port) if port else (), pid=pid)


def listening(monkeypatch: pytest.MonkeyPatch, *connections: Any) -> None:
    monkeypatch.setattr(psutil, "net_connections", lambda kind: list(connections))


def test_the_owner_of_a_port_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    listening(monkeypatch, connection(None, 1), connection(4566, os.getpid()))
    assert ports.owner(4566).startswith(f"process {os.getpid()} (")
    assert Path(psutil.Process().cmdline()[0]).name in ports.owner(4566)


def test_who_only_connects_is_not_the_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    listening(monkeypatch, connection(4566, os.getpid(), psutil.CONN_ESTABLISHED))
    assert ports.owner(4566) == "a process of another user"


def test_a_process_of_another_user_has_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    listening(monkeypatch, connection(4566, None))
    assert ports.owner(4566) == "a process of another user"


def test_systems_that_do_not_tell_are_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(kind: str) -> Any:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "net_connections", refuse)
    assert ports.owner(4566) == "another process"


def test_a_process_that_just_ended_is_named_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(pid: int) -> Any:
        raise psutil.NoSuchProcess(pid)

    monkeypatch.setattr(psutil, "Process", gone)
    assert ports.describe(7) == "process 7"
