"""`spark account`, and `login`, `logout`, `whoami`: who this user is to a deployment.

Tokens are kept with the profile, in a file that only its owner can read, and take the place of its key until `logout`.
"""

from typing import Annotated

import typer
from rich.text import Text

from cli import config, tables, times
from cli.client import Api, Json
from cli.errors import CliError, ExitCode, speaking_of, usage
from cli.inputs import read_secret
from cli.session import Noun, Session
from cli.tables import Column

app = Noun(help="Your account: register, sessions, password.")
admin = Noun(help="What a fresh deployment needs.")

OPTIONS = {"email": "--email", "name": "--name", "password": "--password", "invitation": "--invitation"}  # nosec B105

EmailOption = Annotated[str | None, typer.Option("--email", help="Your e-mail address; asked for if left out.")]
PasswordOption = Annotated[
    str | None, typer.Option("--password", metavar="-|env:NAME", help="- asks or reads stdin, env:NAME a variable.")
]
TokenArgument = Annotated[str, typer.Argument(metavar="TOKEN", help="The one that was mailed.")]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many to show.")]


def login(session: Session, email: EmailOption = None, password: PasswordOption = None) -> None:
    """Log in with e-mail address and password. Commands go on as you, not with the profile's key."""
    profile = stored(session)
    body = {"email": ask(session, email, "E-mail address"), "password": secret(session, password, "Password")}
    tokens = stranger(session).reveal("/auth/login", body)
    config.keep_tokens(profile.name, tokens["access_token"], tokens["refresh_token"])
    session.note(f"Logged in to {profile.url} as {body['email']}.")


def logout(session: Session) -> None:
    """End this session and forget its tokens. The profile's key, if it has one, counts again."""
    profile = stored(session)
    if not profile.access_token:
        session.note("You are not logged in.")
        return
    try:
        session.api.post("/auth/logout")
    except CliError as error:
        if (error.problem or {}).get("code") != "unauthenticated":
            raise
    config.keep_tokens(profile.name, "", "")
    session.note(f"Logged out of {profile.url}.")


def whoami(session: Session) -> None:
    """Show who the deployment takes you for, and what you may do."""
    me = session.api.get("/auth/me")
    if session.json:
        session.print_json(me)
        return
    user = me["user"]
    tables.show_card(
        session.out,
        {
            "you": Text(f"{user['name']} <{user['email']}>" if user else "an API key", "bold"),
            "id": me["id"],
            "organization": me["organization_id"],
            "project": me["project_id"],
            "role": me["role"],
            "may": " ".join(me["permissions"]),
        },
    )


@admin.verb("create-owner")
def create_owner(
    session: Session,
    email: EmailOption = None,
    name: Annotated[str | None, typer.Option("--name", help="What you are called.")] = None,
    password: PasswordOption = None,
) -> None:
    """Make the first account of a deployment, its owner. The profile has the deployment's first key."""
    enrol(session, email, name, password)


@app.verb()
def register(
    session: Session,
    email: EmailOption = None,
    name: Annotated[str | None, typer.Option("--name", help="What you are called.")] = None,
    password: PasswordOption = None,
    invitation: Annotated[str | None, typer.Option("--invitation", help="The token that was mailed.")] = None,
) -> None:
    """Make an account: by invitation, or where registration is open."""
    enrol(session, email, name, password, invitation=invitation)


@app.verb()
def join(session: Session, token: TokenArgument) -> None:
    """Accept an invitation with the account you are logged in with."""
    member = session.api.reveal("/auth/invitations/accept", {"token": token})
    if session.json:
        session.print_json(member)
    session.note(f"You are {member['role']} in {member['project_id'] or member['organization_id']}.")


@app.verb()
def verify(session: Session, token: TokenArgument) -> None:
    """Prove that your address is yours."""
    user = stranger(session).reveal("/auth/verify", {"token": token})
    session.note(f"{user['email']} is yours.")


@app.verb()
def forgot(session: Session, email: EmailOption = None) -> None:
    """Have a token mailed that sets another password."""
    address = ask(session, email, "E-mail address")
    stranger(session).reveal("/auth/forgot-password", {"email": address})
    session.note(f"If {address} has an account, there is a letter on its way.")


@app.verb()
def reset(session: Session, token: TokenArgument, password: PasswordOption = None) -> None:
    """Set another password with the token that was mailed. All sessions end."""
    body = {"token": token, "password": new_secret(session, password)}
    with speaking_of(OPTIONS):
        stranger(session).reveal("/auth/reset-password", body)
    session.note("Your password is another one. Log in: spark login")


@app.verb()
def password(
    session: Session,
    current: Annotated[
        str | None, typer.Option("--current", metavar="-|env:NAME", help="The present one, the same ways.")
    ] = None,
    password: PasswordOption = None,
) -> None:
    """Set another password. All other sessions end."""
    body = {
        "current_password": secret(session, current, "Present password"),
        "password": new_secret(session, password),
    }
    session.api.get("/auth/me")  # renews a token that is over
    with speaking_of(OPTIONS):  # sent once: a wrong password counts as an attempt, and gets the answer of such a token
        session.api.reveal("/auth/change-password", body, renew=False)
    session.note("Your password is another one; all other sessions have ended.")


@app.verb()
def sessions(session: Session, limit: LimitOption = 50) -> None:
    """List the sessions that are open."""
    found = list(session.api.items("/auth/sessions", limit))
    if session.json:
        session.print_json(found)
    else:
        tables.show_table(session.out, found, columns(session))


@app.verb()
def revoke(session: Session, id: Annotated[str, typer.Argument(metavar="SESSION", help="Its id.")]) -> None:
    """End a session, wherever it was opened."""
    session.api.delete(f"/auth/sessions/{id}")
    session.note(f"Ended {id}.")


def enrol(
    session: Session, email: str | None, name: str | None, password: str | None, invitation: str | None = None
) -> None:
    """Make an account and say what comes next."""
    body: Json = {
        "email": ask(session, email, "E-mail address"),
        "name": ask(session, name, "Name"),
        "password": new_secret(session, password),
        **({"invitation": invitation} if invitation else {}),
    }
    with speaking_of(OPTIONS):
        user = stranger(session).reveal("/auth/register", body)
    if session.json:
        session.print_json(user)
    session.note(f"{user['email']} has an account now. Log in: spark login --email {user['email']}")


def stored(session: Session) -> config.Profile:
    """The profile that tokens are kept with. Raises CliError when there is none but the environment."""
    profile = config.choose(session.choices.get("profile"))
    if profile.name not in config.load().profiles:
        raise usage("There is no profile to keep your login with.", config.NO_PROFILE_HINT)
    return profile


def stranger(session: Session) -> Api:
    """A client that goes without the person's tokens: to get some, or because none are needed."""
    profile = config.choose(session.choices.get("profile")).without_person
    return Api(profile, transport=session.surroundings.transport, sleep=session.surroundings.sleep)


def ask(session: Session, given: str | None, question: str) -> str:
    """`given`, or what the user answers."""
    if given is not None:
        return given
    if not session.has_user:
        raise usage(f"{question} is missing.", "Nobody is there to ask.")
    answer: str = typer.prompt(question, err=True)
    return answer.strip()


def secret(session: Session, given: str | None, question: str) -> str:
    """A password, never echoed."""
    answer = read_secret(session, given, question)
    if not answer:
        raise CliError("A password is needed.", hint="Say --password - or env:NAME.", exit_code=ExitCode.usage)
    return answer


def new_secret(session: Session, given: str | None) -> str:
    """A new password; whoever types it does so twice."""
    first = secret(session, given, "New password (12 characters or more)")
    if given is None and secret(session, None, "Once more") != first:
        raise usage("These are two different passwords.", "Nothing was changed.")
    return first


def columns(session: Session) -> list[Column]:
    return [
        Column("", lambda one: "*" if one["is_current"] else "", style="green"),
        Column("ID", lambda one: one["id"], style="cyan"),
        Column("FROM", lambda one: one["address"]),
        Column("WITH", lambda one: one["user_agent"], flexible=True),
        Column("LAST USED", lambda one: times.ago(one["last_used_at"], session.now)),
    ]
