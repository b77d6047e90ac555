"""Which passwords are taken: long, not one that everybody tries first, not the user's own name or address."""

from shared.errors import Invalid

MIN_CHARACTERS = 12
MAX_BYTES = 1024  # hashing costs time by length; nobody types more
POINTER = "/password"

# The commonest of those that are long enough, and what is repeated to become so.
WORDS = """
    123456789012 1234567890123 12345678901234 123456789123 1234567890qwerty 098765432109 111111111111 000000000000
    121212121212 123123123123 1234123412341234 qwertyuiop12 qwertyuiop123 qwertyuiopasdf qwertyuiopasdfghjkl
    qwerty123456 qwerty1234567 qwertyqwerty asdfghjkl123 asdfghjklzxc zxcvbnm12345 1q2w3e4r5t6y 1qaz2wsx3edc
    1qaz2wsx3edc4rfv q1w2e3r4t5y6 passwordpassword password1234 password12345 password123456 password2024
    password2025 password2026 passw0rd1234 p@ssw0rd1234 p@ssword1234 letmeinletmein letmein12345 welcome12345
    welcome123456 iloveyou1234 iloveyouiloveyou administrator administrator1 admin1234567 adminadminadmin changeme1234
    changemechangeme correcthorsebatterystaple trustno1trustno1 sunshine1234 princess1234 football1234 baseball1234
    superman1234 abcdefghijkl abcdefghijklmnop abcdefghijklmnopqrstuvwxyz abc123abc123 abcd1234abcd 1234abcd1234
    secretsecret monkeymonkey dragondragon
    """
COMMON = frozenset(WORDS.split())


def require_good(password: str, *personal: str) -> None:
    """Raises Invalid where `password` would be guessed; `personal` is what everybody knows of the user."""
    if len(password) < MIN_CHARACTERS:
        raise Invalid(f"A password has {MIN_CHARACTERS} characters or more.", POINTER)
    if len(password.encode()) > MAX_BYTES:
        raise Invalid(f"A password has at most {MAX_BYTES} bytes.", POINTER)
    lowered = password.casefold()
    if lowered in COMMON or len(set(lowered)) < 3:
        raise Invalid("This password is one of those that are tried first.", POINTER)
    if lowered in {text.casefold() for text in personal}:
        raise Invalid("A password is neither your name nor your address.", POINTER)
