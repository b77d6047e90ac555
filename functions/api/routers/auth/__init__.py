"""People: how they get an account, come in, find out who they are, and leave.

Whoever asks for something that needs no account yet counts against the limit of their address.
"""

from functions.api import table
from functions.api.routers.auth import recovering, second_factors, sessions, signing_in, sso

router = table.router("auth")
for chapter in (signing_in, sso, recovering, second_factors, sessions):
    router.routes.extend(chapter.router.routes)
