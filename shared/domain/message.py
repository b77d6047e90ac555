"""What travels on the run queue: not the run, only its name and the turn that is announced."""

from dataclasses import dataclass
from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.domain.run import Run

MAX_ID = 100


class RunMessage(BaseModel):
    """`run_id` of `project_id` is due for its `turn`."""

    model_config = ConfigDict(frozen=True, extra="ignore")  # an older executor may meet a newer sender's field

    # Longer ones are none of ours, and a key that DynamoDB refuses would harm the others of its batch.
    project_id: str = Field(min_length=1, max_length=MAX_ID)
    run_id: str = Field(min_length=1, max_length=MAX_ID)
    turn: int = Field(ge=0)
    correlation_id: str = ""


@dataclass(frozen=True)
class Delivery:
    """A message and how long the queue is to hold it back."""

    message: RunMessage
    delay: timedelta = timedelta(0)


def announce(run: Run, delay: timedelta = timedelta(0)) -> Delivery:
    """The message for the present turn of `run`."""
    message = RunMessage(project_id=run.project_id, run_id=run.id, turn=run.turn, correlation_id=run.correlation_id)
    return Delivery(message, delay)


def read(body: str) -> RunMessage | None:
    """The message in `body`, or None when it is none."""
    try:
        return RunMessage.model_validate_json(body)
    except ValidationError:
        return None
