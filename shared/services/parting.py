"""Parting with somebody for good: the keys that they made are revoked, then their membership ends.

In this order, so that who repeats what was interrupted finds the member still there, and goes on.
"""

from dataclasses import dataclass

from shared.services.belonging import Belonging, Guard
from shared.services.deadline import Deadline
from shared.services.granting import Grantor
from shared.services.issuing import Issuing


@dataclass(frozen=True)
class Parting:
    belonging: Belonging
    issuing: Issuing

    def part(self, by: Grantor, user_id: str, project: str | None, guard: Guard, deadline: Deadline) -> None:
        """Revoke all API keys that a member made, in the organization or in the one project, and end the membership.

        The second look is for a key that they made while the first ones were revoked: without a membership they make no
        more.

        Raises:
            NotFound; Forbidden: they, or one of the keys, may do more than oneself; whatever `guard` raises.
            Conflict: it is the last owner, or the last owner's key. Nothing was changed.
            OutOfTime: there are too many keys. The same request goes on.
        """
        self.belonging.require_removable(by, user_id, project, guard)
        self.issuing.revoke_made_by(by, user_id, project, deadline)
        self.belonging.remove(by, user_id, project, guard)
        self.issuing.revoke_made_by(by, user_id, project, deadline)
