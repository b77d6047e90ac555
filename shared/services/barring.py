"""Barring accounts: what the operator of a deployment does about somebody who is to get in nowhere, or again."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from shared.domain import user as rules
from shared.domain.user import User
from shared.errors import Conflict, NotFound, Unavailable
from shared.services.witnessing import Operator, Witness, told_the_operator
from shared.store.users import UserStore

ROUNDS = 5


@dataclass(frozen=True)
class Barring:
    users: UserStore
    witness: Witness
    now: Callable[[], datetime]

    def find(self, account: str) -> User:
        """Whose `account` is: an e-mail address in lower case, or an id. Raises NotFound."""
        user = self.users.by_email(account) if "@" in account else self.users.get(account)
        if user is None:
            raise NotFound("user", account, "deployment")
        return user

    def disable(self, by: Operator, account: str) -> User:
        """Let them in no more: neither with a password nor by a session that is open. Once more changes nothing.

        Raises:
            NotFound; Unavailable: the account keeps changing.
        """
        return self._change(by, account, "user.disabled", lambda user: rules.disabled(user, self.now()))

    def enable(self, by: Operator, account: str) -> User:
        """Let them log in again. Raises, as `disable`."""
        return self._change(by, account, "user.enabled", rules.enabled)

    def _change(self, by: Operator, account: str, action: str, step: Callable[[User], User]) -> User:
        for _ in range(ROUNDS):
            user = self.find(account)
            after = step(user)
            if after == user:
                return user
            try:
                self.users.save_with(user, after, self.witness.entries(told_the_operator(action, user, by)))
            except Conflict:
                continue
            return after
        raise Unavailable("The account keeps changing. Try again.")
