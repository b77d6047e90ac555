"""Real LangFlow on this machine: `lfx serve`, the light engine, and `langflow-base`, the whole server.

Each lives in an environment of its own below `.environments/` (`make` installs it from `requirements/<name>.txt`),
because either pins hundreds of packages. Both listen on loopback only and see none of our environment variables.
"""

import base64
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import httpx

from cli.local import ports
from cli.local.layout import PROJECT
from cli.local.troubles import NotInstalled, PortTaken, Trouble

EngineName = Literal["lfx", "langflow"]

BUILD_SCRIPT = Path(__file__).parent / "flows" / "build.py"
STARTS_WITHIN_SECONDS = 180.0  # langflow-base makes its database first: 20 to 30 s on two cores, more if they are busy
BUILDS_WITHIN_SECONDS = 120.0  # importing lfx alone takes 5 s
STOPS_WITHIN_SECONDS = 10.0
POLL_SECONDS = 0.2
LOG_TAIL_BYTES = 2000


class EngineFailed(Trouble):
    """The engine ended by itself or did not answer in time. The text has the end of its log."""


@dataclass(frozen=True)
class Engine:
    """A running engine and how to reach it. `log` holds all it prints."""

    name: EngineName
    url: str
    api_key: str
    log: Path
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        """End this process and no other; the hard way after ten seconds."""
        self.process.terminate()
        try:
            self.process.wait(STOPS_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def ignore(seconds: float) -> None:
    """The progress callback of those who do not watch."""


def interpreter(name: EngineName) -> Path:
    """The interpreter of an engine's environment. Raises NotInstalled when it is not there."""
    python = PROJECT / ".environments" / name / "bin" / "python"
    if not python.exists():
        raise NotInstalled(f"{name} is not installed. Run: make .environments/{name}/.ready")
    return python


def build_flows(directory: Path, name: EngineName = "lfx") -> Path:
    """Write the flows of `cli/local/flows/` as exports into `directory`, which is the answer. About 7 s.

    Raises:
        NotInstalled: environment `name` is not there.
        EngineFailed: the script failed; the text is the end of what it said.
    """
    command: list[Path | str] = [interpreter(name), "-B", BUILD_SCRIPT, directory.resolve()]
    with TemporaryDirectory() as home:
        done = subprocess.run(  # noqa: S603  # our own script
            command, capture_output=True, env=environment(Path(home)), timeout=BUILDS_WITHIN_SECONDS, check=False
        )
    if done.returncode:
        raise EngineFailed(f"The flows could not be built:\n{done.stderr[-LOG_TAIL_BYTES:].decode(errors='replace')}")
    return directory


def start_lfx(
    flows: Path, home: Path, *, api_key: str, port: int | None = None, progress: Callable[[float], None] = ignore
) -> Engine:
    """`lfx serve` over the exports in `flows`. Healthy after 5 to 10 s.

    Args:
        flows: directory of exported flows; read once, at the start.
        home: directory for its log and whatever it caches.
        api_key: what callers must present.
        port: a free one by default.
        progress: called about five times a second with the seconds waited so far.

    Raises:
        NotInstalled: its environment is not there.
        PortTaken: somebody listens on `port`.
        EngineFailed: it ended by itself or is not healthy in time; the text has the end of its log.
    """
    port = port or ports.free()
    options = ["--host", ports.HOST, "--port", str(port), "--no-check-variables"]
    command: list[Path | str] = [interpreter("lfx").parent / "lfx", "serve", flows.resolve(), *options]
    return start("lfx", command, home, port, api_key, {}, progress)


def start_langflow(
    flows: Path, home: Path, *, api_key: str, port: int | None = None, progress: Callable[[float], None] = ignore
) -> Engine:
    """`langflow-base` with a SQLite database in `home`; it loads the exports in `flows`. Healthy after 20 to 30 s.

    Arguments and errors as in `start_lfx`.
    """
    port = port or ports.free()
    app = ["-m", "uvicorn", "--factory", "langflow.main:create_app", "--host", ports.HOST, "--port", str(port)]
    settings = langflow_settings(flows.resolve(), home.resolve())
    return start("langflow", [interpreter("langflow"), *app], home, port, api_key, settings, progress)


def langflow_settings(flows: Path, home: Path) -> dict[str, str]:
    """No telemetry, no store, no starter projects, no MCP: only the server and our flows."""
    return {
        "LANGFLOW_CONFIG_DIR": str(home),
        "LANGFLOW_DATABASE_URL": f"sqlite:///{home / 'langflow.db'}",
        "LANGFLOW_LOAD_FLOWS_PATH": str(flows),
        "LANGFLOW_AUTO_LOGIN": "false",
        "LANGFLOW_SUPERUSER": "admin",
        "LANGFLOW_SUPERUSER_PASSWORD": secrets.token_urlsafe(),
        "LANGFLOW_SECRET_KEY": secret_key(home),
        "LANGFLOW_API_KEY_SOURCE": "env",  # LANGFLOW_API_KEY is the key: no login needed to make one
        "LANGFLOW_STORE": "false",
        "LANGFLOW_MODELS_DEV_REFRESH": "false",
        "LANGFLOW_CREATE_STARTER_PROJECTS": "false",
        "LANGFLOW_AGENTIC_EXPERIENCE": "false",
        "LANGFLOW_ADD_PROJECTS_TO_MCP_SERVERS": "false",
        "LANGFLOW_SKIP_MCP_AUTO_INIT": "true",
        "LANGFLOW_PRETTY_LOGS": "false",  # pretty logs make every failing run take 4 to 11 s
    }


def secret_key(home: Path) -> str:
    """The Fernet key of this `home`, made once: a database can only be read with the key it was written with."""
    home.mkdir(parents=True, exist_ok=True)
    path = home / "secret_key"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
    return path.read_text()


def start(
    name: EngineName,
    command: Sequence[Path | str],
    home: Path,
    port: int,
    api_key: str,
    settings: Mapping[str, str],
    progress: Callable[[float], None],
) -> Engine:
    """Run `command` with its output in `home/<name>.log` and wait until it is healthy."""
    if ports.taken(port):  # whoever listens there would be taken for the engine
        raise PortTaken(f"Port {port} is used by {ports.owner(port)}.")
    home.mkdir(parents=True, exist_ok=True)
    log = home / f"{name}.log"
    variables = {**environment(home), **settings, "LANGFLOW_API_KEY": api_key, "DO_NOT_TRACK": "true"}
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  # an interpreter of ours
            command, env=variables, cwd=home, stdout=output, stderr=subprocess.STDOUT
        )
    engine = Engine(name, f"http://{ports.HOST}:{port}", api_key, log, process)
    with ExitStack() as on_failure:  # an interrupt included: nobody else knows this process
        on_failure.callback(engine.stop)
        wait_until_healthy(engine, progress)
        on_failure.pop_all()
    return engine


def wait_until_healthy(engine: Engine, progress: Callable[[float], None]) -> None:
    """Returns when `GET /health` answers 200. Raises EngineFailed as `start_lfx` says."""
    started = time.monotonic()
    with httpx.Client(base_url=engine.url, trust_env=False, timeout=5) as client:
        while not is_healthy(client):
            waited = time.monotonic() - started
            if engine.process.poll() is not None:
                raise EngineFailed(f"{engine.name} ended by itself:\n{tail(engine.log)}")
            if waited > STARTS_WITHIN_SECONDS:
                raise EngineFailed(f"{engine.name} is not healthy after {waited:.0f} s:\n{tail(engine.log)}")
            progress(waited)
            time.sleep(POLL_SECONDS)


def is_healthy(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def tail(log: Path) -> str:
    return log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")


def environment(home: Path) -> dict[str, str]:
    """What a process needs. All of ours would leak AWS credentials to flows, and LANGFLOW_* settings to engines."""
    return {"PATH": os.defpath, "HOME": str(home.resolve()), "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"}
