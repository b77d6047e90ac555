"""Sealing the audit log: what was added to the chains of an organization is named in a seal, each minute by the tick.

The seal is stored first, then its entries leave Wake. After a crash between the two they are sealed once more, which
says the same twice. Of two at it at once one wins; what the other was about to seal is left to the next tick.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.domain.audit import AuditEntry, seal_of
from shared.errors import Conflict
from shared.observability import logger
from shared.store.audit import AuditStore
from shared.store.keys import Key


@dataclass(frozen=True)
class Sealing:
    audit: AuditStore
    now: Callable[[], datetime]

    def seal(self, found: Sequence[tuple[str, str]]) -> int:
        """Seal the entries under these (pk, sk), at most a page of Wake; answers how many were."""
        if not found:
            return 0
        waiting = self.audit.unsealed(found)
        organizations = {entry.organization_id for entry in waiting.values()}
        return sum(self._seal(organization, waiting) for organization in sorted(organizations))

    def _seal(self, organization: str, waiting: dict[Key, AuditEntry]) -> int:
        entries = {key: entry for key, entry in waiting.items() if entry.organization_id == organization}
        seal = seal_of(entries.values(), self.audit.last_seal(organization), self.now())
        try:
            self.audit.add_seal(seal)
        except Conflict:
            logger.info("seal.left_to_another", extra={"organization_id": organization, "number": seal.number})
            return 0
        self.audit.sealed(entries)
        return len(entries)
