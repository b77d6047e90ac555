"""What is done to many at once: to all that fit, as many calls as it takes."""

from cli.client import Json, given
from cli.session import Session

SWEPT_AT_ONCE = 500  # the API's limit


def sweep(session: Session, place: str, wanted: Json, done: str) -> None:
    """Do what `place` does to all that are `wanted`, and say how many are `done`."""
    total, cursor = {"matched": 0, "changed": 0}, None
    while True:
        answer = session.api.post(place, given(**wanted, limit=SWEPT_AT_ONCE, cursor=cursor))
        total = {key: total[key] + answer[key] for key in total}
        cursor = answer["next_cursor"]
        if cursor is None:
            break
        session.note(f"{total['changed']} {done} so far …", "dim")
    if session.json:
        session.print_json(total)
    session.note(f"{total['changed']} of {total['matched']} {done}.")
