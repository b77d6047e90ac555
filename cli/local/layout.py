"""Where a local stack keeps what: one state folder per stack, and a cache of requirements all stacks share."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[2]
STATE_DIR = Path(".local/stack")


@dataclass(frozen=True)
class Layout:
    """The paths of one stack. `project` holds template.yaml and the sources; `state_dir` is the stack's own."""

    project: Path
    state_dir: Path

    @property
    def pid_file(self) -> Path:
        """The emulator's process."""
        return self.state_dir / "emulator.json"

    @property
    def port_file(self) -> Path:
        """The port the state was made on; the emulator finds its queues again by their URLs, which have it inside."""
        return self.state_dir / "port"

    @property
    def lock(self) -> Path:
        """Held while the stack goes up or down."""
        return self.state_dir / "lock"

    @property
    def log(self) -> Path:
        """All the emulator printed."""
        return self.state_dir / "emulator.log"

    @property
    def services(self) -> Path:
        """The emulator's state, one file per service, written when it stops."""
        return self.state_dir / "services"

    @property
    def objects(self) -> Path:
        """Objects of its S3."""
        return self.state_dir / "objects"

    @property
    def temporary(self) -> Path:
        """The unpacked functions; emptied at every start."""
        return self.state_dir / "temporary"

    @property
    def requirements(self) -> Path:
        """Installed requirements, a folder per lock; shared by all stacks of this checkout."""
        return self.project / ".local" / "requirements"

    @property
    def emulator_python(self) -> Path:
        """The interpreter that runs the emulator and the functions."""
        return self.project / ".environments" / "emulator" / "bin" / "python"

    def prepare(self) -> None:
        """Make the folders; throw away what an earlier emulator unpacked."""
        shutil.rmtree(self.temporary, ignore_errors=True)
        for folder in (self.services, self.objects, self.temporary):
            folder.mkdir(parents=True, exist_ok=True)

    def wipe(self) -> None:
        """Forget all state. Only what a stack writes goes, whatever else is in the folder."""
        for folder in (self.services, self.objects, self.temporary):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (self.log, self.port_file):
            file.unlink(missing_ok=True)


def layout(state_dir: Path | None = None, project: Path | None = None) -> Layout:
    """The layout of the stack in a state folder; by default the one of this checkout."""
    home = (project or PROJECT).resolve()
    return Layout(home, (state_dir or home / STATE_DIR).resolve())


def python_minor(python: Path) -> str:
    """`3.11` of an environment's interpreter, read from beside it."""
    config = (python.parents[1] / "pyvenv.cfg").read_text(encoding="utf-8")
    values = dict(line.split(" = ", 1) for line in config.splitlines() if " = " in line)
    version = values.get("version_info") or values.get("version") or ".".join(map(str, sys.version_info))
    return ".".join(version.split(".")[:2])
