"""Watching runs that block in LangFlow: one thread a batch cuts those that a user cancelled or somebody took over."""

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from botocore.exceptions import BotoCoreError, ClientError

from shared.domain.run import Run
from shared.errors import SparkError
from shared.langflow import Stopper
from shared.observability import logger
from shared.store.runs import RunStore

LOOK_EVERY_SECONDS = 5.0  # a cancelled run must end within ten


class Watched:
    """A run under way, and how to stop it."""

    def __init__(self, run: Run, stopper: Stopper) -> None:
        self.run = run
        self.stopper = stopper
        self.over = False


class Watch:
    """Context manager: watches `watched` until it is left. Reads nothing for a batch that ends within five seconds."""

    def __init__(self, watched: Sequence[Watched], runs: RunStore) -> None:
        self._watched = watched
        self._runs = runs
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _look_on(self) -> None:
        while not self._done.wait(LOOK_EVERY_SECONDS):
            try:
                self.look()
            except (ClientError, BotoCoreError, SparkError):
                logger.warning("watch.look_failed", exc_info=True)  # the next look is five seconds away

    def look(self) -> None:
        """Stop those of the runs under way that are to be cancelled, or that have a newer turn than ours."""
        active = {(each.run.project_id, each.run.id): each for each in self._watched if not each.over}
        for id, run in self._runs.get_many(list(active)).items():
            if run.cancel_requested_at is not None or run.turn > active[id].run.turn:
                active[id].stopper.stop("cancelled")
