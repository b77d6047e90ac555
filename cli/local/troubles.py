"""What can go wrong with the local stack. The message says what is wrong, the hint what to do.

Trouble (a CliError)
├── NotInstalled     a tool or an environment is missing
├── PortTaken        somebody else listens on our port
├── OtherPort        the stack in the state folder belongs to another port
├── NotRunning       a command needs a running stack
├── DidNotStart      the emulator ended or stayed silent
├── BundleFailed     requirements could not be installed
├── DeployFailed     CloudFormation refused the template, or the API does not answer
└── TickFailed       the tick that was asked for ended with an error
"""

from cli.errors import CliError, ExitCode


class Trouble(CliError):
    """Something is wrong with the local stack."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint=hint, exit_code=ExitCode.failed)


class NotInstalled(Trouble):
    """A tool or an environment is missing."""


class PortTaken(Trouble):
    """Somebody else listens on our port."""


class OtherPort(Trouble):
    """The stack in the state folder belongs to another port."""


class NotRunning(Trouble):
    """A command needs a running stack."""


class DidNotStart(Trouble):
    """The emulator ended or stayed silent."""


class BundleFailed(Trouble):
    """Requirements could not be installed."""


class DeployFailed(Trouble):
    """CloudFormation refused the template, or the API does not answer."""


class TickFailed(Trouble):
    """The tick that was asked for ended with an error."""
