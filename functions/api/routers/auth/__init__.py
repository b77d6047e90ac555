"""People: how they get an account, come in, find out who they are, and leave.

Whoever asks for something that needs no account yet counts against the limit of their address.
"""

from functions.api import table
from functions.api.routers.auth import recovering, sessions, signing_in

router = table.router("auth")
for chapter in (signing_in, recovering, sessions):
    router.routes.extend(chapter.router.routes)
