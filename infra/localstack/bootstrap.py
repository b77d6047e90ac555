"""Starts a function as Lambda's image does, with AWS's own runtime client, and hides LocalStack's packages from it.

Called as `python -S -P bootstrap.py <folder with awslambdaric> <handler>`. Once the client is imported its folder
leaves the path again: a requirement that is missing from a lock fails here as it fails on AWS.
"""

import os
import signal
import sys
from threading import Thread

STANDARD_INPUT = 0


def main(packages: str, handler: str) -> None:
    """Serve invocations until the process is killed."""
    tie()
    sys.path.append(packages)
    from awslambdaric import bootstrap
    from awslambdaric.lambda_runtime_client import LambdaRuntimeClient

    sys.path.remove(packages)
    bootstrap.run(handler, LambdaRuntimeClient(os.environ["AWS_LAMBDA_RUNTIME_API"]))


def tie() -> None:
    """From now on this process ends with the one that holds the other end of its standard input, however that ends.

    Linux would send a signal then, too (PR_SET_PDEATHSIG), but it sends it as soon as the thread has ended that
    started the process, and LocalStack starts processes in threads that do not last.
    https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
    """
    Thread(target=_end_with_standard_input, name="tie", daemon=True).start()


def _end_with_standard_input() -> None:
    os.read(STANDARD_INPUT, 1)  # returns when the other end is closed; nobody writes there
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
