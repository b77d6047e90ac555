"""What callers see of stored records."""

from functions.api.views import MAX_FOREIGN_BYTES, dead_letter_view
from shared.domain.dead_letter import NO_PROJECT, DeadLetter, DeadLetterReason
from shared.domain.project import DEFAULT_PROJECT
from tests.fakes import NOON


def a_letter(project: str) -> DeadLetter:
    return DeadLetter(
        project_id=project,
        id="dead_1",
        reason=DeadLetterReason.unreadable,
        body="ä" * 2000,
        message="The body is no run message.",
        created_at=NOON,
    )


def test_the_operator_sees_the_whole_of_what_nobody_can_read() -> None:
    seen = dead_letter_view(a_letter(NO_PROJECT), DEFAULT_PROJECT)
    assert (seen.body, seen.body_bytes) == ("ä" * 2000, 4000)


def test_other_projects_see_where_it_begins_and_how_large_it_is() -> None:
    seen = dead_letter_view(a_letter(NO_PROJECT), "other")
    assert len(seen.body.encode()) <= MAX_FOREIGN_BYTES
    assert (seen.body[:100], seen.body_bytes) == ("ä" * 100, 4000)


def test_a_project_sees_its_own_whole() -> None:
    assert dead_letter_view(a_letter("other"), "other").body == "ä" * 2000
