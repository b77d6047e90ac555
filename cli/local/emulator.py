"""The MiniStack process: AWS on 127.0.0.1, without Docker. Started detached, known by its pid file, stopped gracefully.

It saves its state only on a graceful stop; after a crash the next start finds what the last graceful stop saved.
"""

import os
import shutil
import signal
import time

import httpx
import psutil

from cli.local import pidfile, ports
from cli.local.layout import Layout
from cli.local.troubles import DidNotStart, NotInstalled, OtherPort, PortTaken

STARTS_WITHIN_SECONDS = 60.0  # 0.5 s on an idle machine
STOPS_WITHIN_SECONDS = 30.0  # it writes all state to disk
POLL_SECONDS = 0.05
LOG_TAIL_CHARACTERS = 2000
# What the emulator, hence every function, sees of our environment: no credentials, no AWS_ or SPARK_ variables.
PASSED_ON = ("PATH", "HOME", "LANG", "SSL_CERT_FILE", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
NOT_PROXIED = "127.0.0.1,localhost"


def endpoint(port: int) -> str:
    """Where an emulator on that port answers."""
    return f"http://{ports.HOST}:{port}"


def running(layout: Layout) -> psutil.Process | None:
    """The emulator of this state folder, if it runs."""
    return pidfile.process(pidfile.read(layout.pid_file))


def crashed(layout: Layout) -> bool:
    """Whether it ended without being stopped, by a reboot perhaps."""
    return pidfile.read(layout.pid_file) is not None and running(layout) is None


def port_of_state(layout: Layout) -> int | None:
    """The port the state was made on, if there is one."""
    return int(layout.port_file.read_text(encoding="utf-8")) if layout.port_file.exists() else None


def start(layout: Layout, port: int, *, enforce_iam: bool = False) -> bool:
    """Make sure the emulator runs on the port; false if it did already."""
    entry = pidfile.read(layout.pid_file)
    if entry and pidfile.process(entry):
        if entry.port != port:
            raise OtherPort(
                f"The stack in {layout.state_dir} runs on port {entry.port}.", "Stop it: `spark local down`."
            )
        return False
    _stay(layout, port)
    if ports.taken(port):
        raise PortTaken(f"Port {port} is taken by {ports.owner(port)}.", "Stop it, or choose another port with --port.")
    layout.prepare()
    layout.port_file.write_text(str(port), encoding="utf-8")
    pid = _spawn(layout, port, enforce_iam=enforce_iam)
    pidfile.write(layout.pid_file, pidfile.record(pid, port))
    return True


def wait(layout: Layout, port: int) -> None:
    """Return when the emulator answers."""
    deadline = time.monotonic() + STARTS_WITHIN_SECONDS
    while time.monotonic() < deadline:
        if healthy(port):
            return
        if running(layout) is None:
            raise DidNotStart(f"The emulator ended at once. It said:\n{log_tail(layout)}")
        time.sleep(POLL_SECONDS)
    raise DidNotStart(f"The emulator did not answer in {STARTS_WITHIN_SECONDS:.0f} s. It said:\n{log_tail(layout)}")


def stop(layout: Layout) -> bool:
    """End the emulator and the functions it runs; false if it had to be killed, hence saved nothing."""
    process = running(layout)
    if process is None:
        layout.pid_file.unlink(missing_ok=True)
        return True
    family = process.children(recursive=True)
    process.terminate()
    gone, _ = psutil.wait_procs([process], timeout=STOPS_WITHIN_SECONDS)
    if not gone:
        process.kill()
    for orphan in [*family, process]:
        if orphan.is_running():
            orphan.kill()
    psutil.wait_procs([*family, process], timeout=STOPS_WITHIN_SECONDS)
    layout.pid_file.unlink(missing_ok=True)
    shutil.rmtree(layout.temporary, ignore_errors=True)
    return bool(gone)


def workers(layout: Layout, function: str) -> list[int]:
    """Process ids of the running environments of a function, as a test needs them that kills one."""
    process = running(layout)
    marker = f"ministack-lambda-{function}-"
    children = process.children() if process else []
    return [child.pid for child in children if marker in " ".join(_command(child))]


def healthy(port: int) -> bool:
    """Whether an emulator answers there."""
    try:
        return httpx.get(f"{endpoint(port)}/_ministack/health", trust_env=False, timeout=2).is_success
    except httpx.HTTPError:
        return False


def log_tail(layout: Layout) -> str:
    """The end of what it printed."""
    text = layout.log.read_text(encoding="utf-8", errors="replace") if layout.log.exists() else ""
    return text[-LOG_TAIL_CHARACTERS:]


def _stay(layout: Layout, port: int) -> None:
    """On another port the emulator would not find the queues of its state again."""
    before = port_of_state(layout)
    if before not in {None, port}:
        hint = f"Use --port {before}, or forget the state: `spark local reset --port {port}`."
        raise OtherPort(f"The state in {layout.state_dir} was made on port {before}.", hint)


def _spawn(layout: Layout, port: int, *, enforce_iam: bool) -> int:
    python = layout.emulator_python
    if not python.exists():
        raise NotInstalled(f"The emulator is not installed in {python.parents[1]}.", "Run `make setup`.")
    log = (os.POSIX_SPAWN_OPEN, 1, str(layout.log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    return os.posix_spawn(
        str(python),
        [str(python), "-m", "ministack.app"],
        _environment(layout, port, enforce_iam=enforce_iam),
        file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), log, (os.POSIX_SPAWN_DUP2, 1, 2)],
        setsid=True,
        setsigdef=[signal.SIGINT, signal.SIGTERM],
    )


def _environment(layout: Layout, port: int, *, enforce_iam: bool) -> dict[str, str]:
    return {
        **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
        "NO_PROXY": NOT_PROXIED,
        "no_proxy": NOT_PROXIED,
        "BIND_HOST": ports.HOST,
        "GATEWAY_PORT": str(port),
        "AUTH": str(enforce_iam).lower(),
        "PERSIST_STATE": "1",
        "STATE_DIR": str(layout.services),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(layout.objects),
        "TMPDIR": str(layout.temporary),
        "DOCKER_HOST": f"unix://{layout.temporary}/none",  # it removes containers it takes for its own; never look
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
    }


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []
