"""What a region adds to the catalogue's prices of tokens: a dated table with its sources, read on 2026-11-27.

- https://developers.openai.com/api/docs/guides/data-residency: 10 % for models from 5 March 2026 on.
- https://platform.claude.com/docs/en/manage-claude/data-residency: 10 % for `inference_geo: us`.
- https://cloud.google.com/vertex-ai/generative-ai/pricing: 10 % for Claude Sonnet 4.5 and later, except at `global`.
- https://docs.mistral.ai/studio/regional-inference: 10 %.
- https://docs.together.ai/docs/serverless/geo-specific-inference: 25 %.

Bedrock's regional profiles are models of their own in the catalogue.
"""

import re
from fractions import Fraction
from typing import NamedTuple


class Surcharge(NamedTuple):
    """What the calls to some URLs cost more."""

    url: str
    """A pattern. `re` compiles it with the first price, and keeps it; the catalogue keeps the answer."""
    except_for: str | None
    """Models without it: those that are older than it."""
    factor: Fraction


_TENTH = Fraction(11, 10)
NONE = Fraction(1)

SURCHARGES = (
    Surcharge(
        r"^https?://[a-z]{2}\.api\.openai\.com(?:[:/]|$)",
        (
            r"^(?:ft:)?(?:gpt-[34]|gpt-5(?:\.[0-3])?(?![.\d])|o[134]|chatgpt-|text-|whisper|tts-|dall-e|sora-2|davinci"
            r"|babbage|codex-mini|computer-use|gpt-audio|gpt-realtime(?!-\d\b)|gpt-image-1)"
        ),
        _TENTH,
    ),
    Surcharge(
        r"googleapis\.com(?::\d+)?/.*/locations/(?!global/)[^/]+/publishers/anthropic/",
        r"^claude-(?:[123]|instant|(?:opus|sonnet)-4(?:-[01])?(?:@|-\d{8}|$))",
        _TENTH,
    ),
    Surcharge(r"^https?://api\.(?:eu|us)\.mistral\.ai(?:[:/]|$)", None, _TENTH),
    Surcharge(r"^https?://(?:us|ca)-api\.together\.ai(?:[:/]|$)", None, Fraction(5, 4)),
)

GEOS = {"us": _TENTH}
"""What `inference_geo` adds, by its value. Any other region has no documented price."""

_WITHOUT_GEO = re.compile(r"^claude-(?:[123]|instant|(?:opus|sonnet|haiku)-4(?:-[015])?(?:-\d{8}|-latest|$))")
"""Models that are older than `inference_geo`."""


def factor_of(url: str, model: str, geo: str | None) -> Fraction | None:
    """Return by what a model's prices of tokens are multiplied at a URL; None if that is unknown.

    `geo` is the region that the answer names, None for none or the whole world.
    """
    name = model.lower()
    factor = NONE if geo is None else GEOS.get(geo)
    if factor is None:
        return None
    for each in SURCHARGES:
        if re.search(each.url, url) and not (each.except_for and re.search(each.except_for, name)):
            factor *= each.factor
    return factor


def dearest_geo(model: str | None, asked: str | None) -> str | None:
    """Return the region that makes a request cost most: without one, a workspace has a default, which may be dear."""
    if asked is not None or model is None or not model.startswith("claude-") or _WITHOUT_GEO.search(model):
        return asked
    return "us"
