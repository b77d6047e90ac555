"""Hashing passwords with Argon2id. Imported only by what needs it: the library takes its time to load."""

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# RFC 9106, section 4, the second recommended choice: 64 MiB, three passes, four lanes. A change of it makes new hashes
# of those who log in.
HASHER = PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=4, hash_len=32, salt_len=16)
# Of no password that anybody knows: whoever has no account costs as much as who has one.
NOBODYS = "$argon2id$v=19$m=65536,t=3,p=4$MkblwA1YQf7xmnMG+F1Dag$TjBbAOVmZGExcUD90AUqjidb6/z/VJhxyC4ZGWNzCeI"


def hashed(password: str) -> str:
    return HASHER.hash(password)


def is_right(password: str, hash: str | None) -> bool:
    """Is `hash` that of `password`? It takes as long for None, which no password has."""
    try:
        return HASHER.verify(hash or NOBODYS, password) and hash is not None
    except (VerificationError, InvalidHashError):
        return False


def is_outdated(hash: str) -> bool:
    """Was it made with other parameters than today's?"""
    return HASHER.check_needs_rehash(hash)
