"""Who listens on a port of this machine."""

import socket

import psutil

HOST = "127.0.0.1"


def taken(port: int) -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def free() -> int:
    """A port nobody uses right now; for tests, which run stacks side by side."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def owner(port: int) -> str:
    """The process that listens there, as far as this user may know."""
    try:
        listening = [entry for entry in psutil.net_connections("tcp") if entry.status == psutil.CONN_LISTEN]
    except psutil.AccessDenied:
        return "another process"
    pid = next((entry.pid for entry in listening if entry.laddr and entry.laddr.port == port), None)
    return describe(pid) if pid else "a process of another user"


def describe(pid: int) -> str:
    """A process in a few words."""
    try:
        command = " ".join(psutil.Process(pid).cmdline())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return f"process {pid}"
    return f"process {pid} ({command[:100]})"
