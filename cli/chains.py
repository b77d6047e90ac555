"""Whether an audit log is whole: its hashes, computed anew from what the API tells, by nothing but `docs/audit.md`."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from cli.client import Json

SEALED_WITHIN = timedelta(minutes=10)  # the tick does it each minute


@dataclass(frozen=True)
class Fault:
    """Something that no honest log has. `where` is the id of an entry, a chain, or a seal."""

    where: str
    what: str


@dataclass(frozen=True)
class KnownSeal:
    """A seal as somebody noted it once."""

    number: int
    hash: str


def faults(
    entries: Sequence[Json], seals: Sequence[Json], now: datetime, known: KnownSeal | None = None
) -> list[Fault]:
    """All that is wrong with the log of an organization: `entries` and `seals` are all there are, in any order."""
    chains: dict[str, list[Json]] = defaultdict(list)
    for entry in entries:
        chains[chain_of(entry)].append(entry)
    found = [fault for name in sorted(chains) for fault in _chain_faults(name, chains[name])]
    found += _seal_faults(seals)
    found += _head_faults(chains, seals)
    found += _unsealed(chains, seals, now)
    return found + (_unknown(seals, known) if known else [])


def warnings(entries: Iterable[Json]) -> list[Fault]:
    """Where a record is not what the entry before left: it was changed without one. Spark itself does some of that."""
    chains: dict[str, list[Json]] = defaultdict(list)
    for entry in entries:
        if entry.get("before_hash") or entry.get("after_hash"):  # others are about no state of a record
            chains[chain_of(entry)].append(entry)
    return [warning for name in sorted(chains) for warning in _jumps(name, chains[name])]


def chain_of(entry: Json) -> str:
    return f"{entry['kind']}/{entry['subject']}"


def digest(said: Json) -> str:
    """SHA-256 of the canonical JSON of all but `hash` and what is null."""
    kept = {name: value for name, value in said.items() if name != "hash" and value is not None}
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _chain_faults(name: str, entries: Iterable[Json]) -> Iterator[Fault]:
    ordered = sorted(entries, key=lambda entry: int(entry["number"]))
    for entry in ordered:
        if entry["hash"] != digest(entry):
            yield Fault(entry["id"], f"It is not what was written: entry {entry['number']} of {name} was changed.")
    yield from _links(name, "entry", ordered)


def _jumps(name: str, entries: Iterable[Json]) -> Iterator[Fault]:
    for one, other in pairwise(sorted(entries, key=lambda entry: int(entry["number"]))):
        if one.get("after_hash") != other.get("before_hash"):
            what = f"{name} was changed without an entry between entries {one['number']} and {other['number']}."
            yield Fault(other["id"], what)


def _seal_faults(seals: Iterable[Json]) -> Iterator[Fault]:
    ordered = sorted(seals, key=lambda seal: int(seal["number"]))
    for seal in ordered:
        if seal["hash"] != digest(seal):
            yield Fault(f"seal {seal['number']}", "It is not what was written: it was changed.")
    yield from _links("the seals", "seal", ordered)


def _links(name: str, noun: str, ordered: Sequence[Json]) -> Iterator[Fault]:
    """From 1 without gaps, each naming the hash of the one before it."""
    if ordered and ordered[0]["number"] != 1:
        yield Fault(name, f"It begins with {noun} {ordered[0]['number']}: what was before that is gone.")
    if ordered and ordered[0]["number"] == 1 and ordered[0]["previous"] is not None:
        yield Fault(name, f"Its first {noun} follows another.")
    for one, other in pairwise(ordered):
        if other["number"] == one["number"]:
            yield Fault(name, f"There are two of {noun} {one['number']}.")
        elif other["number"] > one["number"] + 1:
            yield Fault(name, f"Between {noun} {one['number']} and {noun} {other['number']} something is gone.")
        elif other["previous"] != one["hash"]:
            yield Fault(name, f"{noun.capitalize()} {other['number']} does not follow the {noun} before it.")


def _head_faults(chains: dict[str, list[Json]], seals: Iterable[Json]) -> Iterator[Fault]:
    """What seals name is there, as they name it."""
    hashes = {(name, entry["number"]): entry["hash"] for name, entries in chains.items() for entry in entries}
    for seal in seals:
        for head in seal["heads"]:
            name, number = head["chain"], head["number"]
            if name not in chains:
                yield Fault(name, f"All of it is gone; seal {seal['number']} knew it up to entry {number}.")
            elif (name, number) not in hashes:
                yield Fault(name, f"Entry {number} is gone, which seal {seal['number']} names.")
            elif hashes[name, number] != head["hash"]:
                yield Fault(name, f"Entry {number} is not the one that seal {seal['number']} names.")


def _unsealed(chains: dict[str, list[Json]], seals: Iterable[Json], now: datetime) -> Iterator[Fault]:
    """Old entries have a seal. Where they have none, seals are gone, or nobody makes any."""
    sealed: dict[str, int] = defaultdict(int)
    for seal in seals:
        for head in seal["heads"]:
            sealed[head["chain"]] = max(sealed[head["chain"]], head["number"])
    for name, entries in chains.items():
        waiting = [entry for entry in entries if entry["number"] > sealed[name]]
        late = [entry for entry in waiting if now - datetime.fromisoformat(entry["at"]) > SEALED_WITHIN]
        if late:
            yield Fault(name, f"No seal covers entry {late[0]['number']}, made at {late[0]['at']}.")


def _unknown(seals: Iterable[Json], known: KnownSeal) -> list[Fault]:
    if any((seal["number"], seal["hash"]) == (known.number, known.hash) for seal in seals):
        return []
    return [Fault(f"seal {known.number}", "It is not the one that you know: the log was written anew, or cut off.")]
