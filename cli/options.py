"""Options that several commands share: a parameter whose type is a dataclass stands for the fields of that class."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any, Concatenate, ParamSpec

from cli.session import Session

P = ParamSpec("P")
Command = Callable[Concatenate[Session, P], None]


def spread(command: Command[P]) -> Callable[Concatenate[Session, ...], None]:
    """`command` with the fields of its dataclasses as parameters of its own, as Typer wants them."""
    own = inspect.signature(command, eval_str=True).parameters
    groups = {name: each.annotation for name, each in own.items() if is_bundle(each.annotation)}
    fields = {name: inspect.signature(bundle, eval_str=True).parameters for name, bundle in groups.items()}

    @functools.wraps(command)
    def run(session: Session, **said: Any) -> None:
        bundles = {name: groups[name](**{field: said.pop(field) for field in fields[name]}) for name in groups}
        command(session, **said, **bundles)  # type: ignore[call-arg]  # Typer passes what the signature below promises

    flat = [part for name, each in own.items() for part in (fields[name].values() if name in groups else [each])]
    keyword = inspect.Parameter.KEYWORD_ONLY
    first, *rest = flat
    run.__signature__ = inspect.Signature([first, *(p.replace(kind=keyword) for p in rest)])  # type: ignore[attr-defined]
    return run


def is_bundle(annotation: Any) -> bool:
    return inspect.isclass(annotation) and is_dataclass(annotation) and annotation is not Session
