"""`spark account`, and `login`, `logout`, `whoami`: who this user is to a deployment.

Tokens are kept with the profile, in a file that only its owner can read, and take the place of its key until `logout`.
"""

from typing import Annotated

import typer
from rich.text import Text

from cli import config, tables, times
from cli.client import Api, Json
from cli.errors import CliError, ExitCode, speaking_of, usage
from cli.inputs import STDIN, VARIABLE, read_secret
from cli.session import Noun, Session
from cli.tables import Column

app = Noun(help="Your account: register, sessions, password.")

OPTIONS = {"email": "--email", "name": "--name", "password": "--password", "invitation": "--invitation"}  # nosec B105
SECOND_FACTOR_REQUIRED = "second_factor_required"
A_CODE = "Code of your app, or a recovery code"

EmailOption = Annotated[str | None, typer.Option("--email", help="Your e-mail address; asked for if left out.")]
PasswordOption = Annotated[
    str | None, typer.Option("--password", metavar="-|env:NAME", help="- asks or reads stdin, env:NAME a variable.")
]
TokenArgument = Annotated[str, typer.Argument(metavar="TOKEN", help="The one that was mailed.")]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many to show.")]


def login(
    session: Session,
    email: EmailOption = None,
    password: PasswordOption = None,
    code: Annotated[
        str | None, typer.Option("--code", metavar="CODE|-|env:NAME", help="Of your second factor, if you have one.")
    ] = None,
    sso: Annotated[
        str | None, typer.Option("--sso", metavar="PROVIDER_ID", help="By an identity provider, with a browser.")
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open a browser for it, or only print the address.")
    ] = True,
) -> None:
    """Log in with e-mail address and password. Commands go on as you, not with the profile's key."""
    profile = stored(session)
    if sso is not None:
        log_in_by(session, profile, sso, browser=browser)
        return
    body = {"email": ask(session, email, "E-mail address"), "password": secret(session, password, "Password")}
    tokens = tokens_for(session, body, code)
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
            "acts for": acting_for(me),
            "organization": me["organization_id"],
            "project": me["project_id"],
            "role": me["role"],
            "may": " ".join(me["permissions"]),
        },
    )


def acting_for(me: Json) -> str | None:
    account = me.get("service_account")
    return f"{account['name']} ({account['id']})" if account else None


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
    """Have a token mailed that sets another password: one in half an hour at most, each good for an hour."""
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
    if user is None:
        session.note(f"A letter is on its way to {body['email']}. It says how to go on.")
        return
    session.note(f"{user['email']} has an account now. Log in: spark login --email {user['email']}")


def log_in_by(session: Session, profile: config.Profile, provider_id: str, *, browser: bool) -> None:
    """By an identity provider: for its organization, and not for what concerns the account."""
    from cli import sso  # a server, which no other command needs

    tokens = sso.tokens(session, stranger(session), provider_id, browser=browser)
    config.keep_tokens(profile.name, tokens["access_token"], tokens["refresh_token"])
    session.note(f"Logged in to {profile.url} by {provider_id}.")


def tokens_for(session: Session, body: Json, code: str | None) -> Json:
    """What a login gives for the password, and for a code where there is a second factor."""
    anybody = stranger(session)
    try:
        return dict(anybody.reveal("/auth/login", body))
    except CliError as error:
        problem = error.problem or {}
        if problem.get("code") != SECOND_FACTOR_REQUIRED:
            raise
    return dict(anybody.reveal("/auth/login/second-factor", second_step(session, anybody, problem, code)))


def second_step(session: Session, anybody: Api, problem: Json, code: str | None) -> Json:
    """The answer to the challenge in `problem`."""
    step, can_text = {"challenge": problem["challenge"]}, "sms" in problem["methods"]
    said = read_code(session, code, f"{A_CODE}{' (or sms, to have one sent)' if can_text else ''}")
    if can_text and said.lower() == "sms":
        anybody.reveal("/auth/login/second-factor/sms", step)
        return {**step, "code": ask(session, None, "Code that was sent"), "method": "sms"}
    return {**step, "code": said}


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


def read_code(session: Session, given: str | None, question: str) -> str:
    """A code: as it was said, by standard input or a variable, or what the user answers. It works once, so a shell may
    remember it."""
    if given is not None and (given == STDIN or given.startswith(VARIABLE)):
        given = read_secret(session, given, question)
    return ask(session, given, question)


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
