"""Secrets out of texts: passwords in connection URLs and conninfo, bcrypt hashes, and values registered as secret.

Forms are masked by what they look like, in every text; a registered value is masked wherever it stands, also
percent-encoded or escaped. Where a text is ambiguous, more of it is masked rather than less.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from urllib.parse import unquote

MASK = "******"
# Passwords are rotated while the process lives; the oldest are forgotten.
_MAX_SECRETS = 64
# A shorter secret is masked only where it stands as a word: `a` everywhere would leave no text, and reveal the secret.
_MIN_ANYWHERE = 6

# A PostgreSQL URL's password may hold anything, blanks too: up to the last @ of the line.
_POSTGRES_URL = re.compile(r"(postgres[\w+]*:/{1,2}[^\s:@/]*):([^\n]*)@", re.IGNORECASE)
# user:password@host with a scheme or without: up to the last @ before a blank.
_USER_INFO = re.compile(r"([a-z][\w+.-]*:/{1,2}[^\s:@/]*:|[^\s:@/\"'=,(]*:(?!//))(\S+)@", re.IGNORECASE)
# conninfo, URL parameters, YAML, JSON, variables: password=…, 'password': '…', PGPASSWORD=…
# A quote that is not closed runs to the end of the text.
_KEYWORD = re.compile(
    r"""((?:password|passwd|pwd|secret|token)["']?\s*[:=]\s*)"""
    r"""('(?:\\.|''|[^'\\])*(?:'|\Z)|"(?:\\.|[^"\\])*(?:"|\Z)|(?:\\.|[^\s\\])(?:\\.|\S)*)""",
    re.IGNORECASE | re.DOTALL,
)
_AUTHORIZATION = re.compile(r"""(authorization["']?\s*[:=]\s*["']?(?:basic|bearer)?\s*)([^\s"']+)""", re.IGNORECASE)
_BCRYPT = re.compile(r"\$2[abxy]?\$\d\d\$[./A-Za-z0-9]{20,53}")


class _Secrets:
    """The registered values and the one expression that finds any of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: list[str] = []
        self._pattern: re.Pattern[str] | None = None

    def add(self, value: str) -> None:
        with self._lock:
            if value in self._values:
                return
            self._values = [*self._values, value][-_MAX_SECRETS:]
            # The longest first: a secret that begins with another one is masked whole.
            longest_first = sorted(self._values, key=len, reverse=True)
            self._pattern = re.compile("|".join(_literal(each) for each in longest_first))

    def clear(self) -> None:
        with self._lock:
            self._values, self._pattern = [], None

    def mask(self, text: str) -> str:
        pattern = self._pattern
        return pattern.sub(MASK, text) if pattern else text


def _literal(secret: str) -> str:
    """An expression that finds the secret as it is, percent-encoded in part or whole, or escaped with backslashes."""
    whole = "".join(_character(each) for each in secret)
    return whole if len(secret) >= _MIN_ANYWHERE else rf"(?<!\w){whole}(?!\w)"


def _character(character: str) -> str:
    forms = [re.escape(character)]
    if character in "'\"\\":
        forms[0] = r"\\*" + forms[0]
    if character == " ":
        forms.append(r"\+")
    if not character.isascii():
        # Lone surrogates stand for bytes that were no UTF-8.
        units = character.encode("utf-16-be", "surrogatepass").hex(" ", 2).split()
        forms.append("".join(rf"\\u(?i:{unit})" for unit in units))
    percent = "".join(f"%(?i:{byte:02x})" for byte in character.encode("utf-8", "surrogatepass"))
    return f"(?:{'|'.join([*forms, percent])})"


_secrets = _Secrets()
clear_secrets: Callable[[], None] = _secrets.clear


def register_secret(value: str) -> None:
    """Mask `value` in every text from now on, wherever it stands; what it decodes to by percent-encoding as well.

    An empty value is none. One of less than six characters is masked where it stands as a word of its own.
    """
    for form in {value, unquote(value)}:
        if form:
            _secrets.add(form)


def mask(text: str) -> str:
    """`text` with every password, hash and registered secret in it replaced."""
    text = _secrets.mask(text)
    if "@" in text:
        text = _POSTGRES_URL.sub(rf"\1:{MASK}@", text)
        text = _USER_INFO.sub(rf"\1{MASK}@", text)
    text = _KEYWORD.sub(rf"\1{MASK}", text)
    text = _AUTHORIZATION.sub(rf"\1{MASK}", text)
    return _BCRYPT.sub(MASK, text)
