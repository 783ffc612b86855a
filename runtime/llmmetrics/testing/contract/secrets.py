"""Patterns of keys and passwords, to keep them out of public places. Pure."""

from __future__ import annotations

import re

_LOOKS = {
    # a model's name may start like a key, but has no such sequence of letters and digits
    "an API key": re.compile(
        r"\b(?:sk|pk|rk|gsk|xai|hf|pplx|r8|nvapi|fw|tgp_v1)[-_](?=[\w-]*\d)[\w-]*?[A-Za-z0-9]{16,}|\bAIza[\w-]{30,}"
    ),
    "an access key of AWS": re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    "a token": re.compile(
        r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}|\b(?:gh[pousr]|github_pat|glpat)[-_][A-Za-z0-9_]{16,}"
    ),
    "an Authorization header": re.compile(r"\b(?:Bearer|Basic) +[A-Za-z0-9+/=._-]{8,}", re.IGNORECASE),
    "a password in an address": re.compile(r"://[^/\s:@]*:[^/\s@]+@"),
    "a key in an address": re.compile(r"[?&](?:api[-_]?key|key|access_token|sig|token)=[^&\s]{8,}", re.IGNORECASE),
}


def looks_secret(text: str) -> str | None:
    """Return the kind of secret that a text looks like, or None."""
    return next((kind for kind, look in _LOOKS.items() if look.search(text)), None)
