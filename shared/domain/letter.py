"""Letters: what Spark writes to people. Plain text, in few words, and nothing in it that the reader did not ask for."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Letter:
    to: str
    subject: str
    text: str = field(repr=False)


def verification(to: str, token: str, deployment: str) -> Letter:
    return Letter(
        to,
        "Confirm your address for Spark",
        f"Somebody, hopefully you, has an account with this address at {deployment}.\n\n"
        f"To confirm the address, within seven days:\n\n    spark account verify {token}\n\n"
        "If it was not you, do nothing.\n",
    )


def taken(to: str, deployment: str) -> Letter:
    return Letter(
        to,
        "Your account for Spark",
        f"Somebody, hopefully you, wants an account with this address at {deployment}. There is one already.\n\n"
        f"To log in:\n\n    spark login --email {to}\n\n"
        "If you do not know its password, or never confirmed the address:\n\n"
        f"    spark account forgot --email {to}\n\n"
        "If it was not you, do nothing.\n",
    )


def reset(to: str, token: str, deployment: str) -> Letter:
    return Letter(
        to,
        "A new password for Spark",
        f"Somebody, hopefully you, has forgotten the password of this address at {deployment}.\n\n"
        f"To set another one, within an hour:\n\n    spark account reset {token}\n\n"
        "If it was not you, do nothing: the password stays as it is.\n",
    )


def invitation(to: str, token: str, organization: str, deployment: str) -> Letter:
    name = _tame(organization)
    return Letter(
        to,
        "You are invited to Spark",
        f"You are invited to {name} at {deployment}.\n\n"
        f"To join, within seven days:\n\n    spark account register --invitation {token}\n\n"
        f"If you have an account already:\n\n    spark account join {token}\n",
    )


def _tame(name: str) -> str:
    """In one line and without an address to click on: who wrote the name is not who sends the letter."""
    return " ".join(name.replace("://", " ").split())
