"""Prices of pictures and films by piece, which the catalogue does not have: a dated table with its sources.

Read on 2026-11-27. Names are those of `wire.billed`: the model, and what else the price depends on, behind slashes.

- https://developers.openai.com/api/docs/pricing: DALL·E and Sora. Azure sells DALL·E at the same prices.
- https://ai.google.dev/gemini-api/docs/pricing and https://cloud.google.com/vertex-ai/generative-ai/pricing:
  Imagen and Veo.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType, SimpleNamespace
from typing import Any

_WIDE = r"(?:1024x1792|1792x1024)"
_OPENAI = (
    (r"dall-e-2/256x256", "images_kcount", "16"),
    (r"dall-e-2/512x512", "images_kcount", "18"),
    (r"dall-e-2/1024x1024", "images_kcount", "20"),
    (r"dall-e-3/standard/1024x1024", "images_kcount", "40"),
    (rf"dall-e-3/standard/{_WIDE}", "images_kcount", "80"),
    (r"dall-e-3/hd/1024x1024", "images_kcount", "80"),
    (rf"dall-e-3/hd/{_WIDE}", "images_kcount", "120"),
    (r"sora-2(?:-\d{4}-\d\d-\d\d)?/(?:1280x720|720x1280)", "video_seconds", "0.10"),
    (r"sora-2-pro(?:-\d{4}-\d\d-\d\d)?/(?:1280x720|720x1280)", "video_seconds", "0.30"),
    (rf"sora-2-pro(?:-\d{{4}}-\d\d-\d\d)?/{_WIDE}", "video_seconds", "0.50"),
)
_GOOGLE = (
    (r"imagen-4\.0-fast-generate(?:-[\w-]+)?", "images_kcount", "20"),
    (r"imagen-4\.0-generate(?:-[\w-]+)?", "images_kcount", "40"),
    (r"imagen-4\.0-ultra-generate(?:-[\w-]+)?", "images_kcount", "60"),
    (r"veo-3\.1-generate(?:-[\w-]+)?/(?:720p|1080p)", "video_seconds", "0.40"),
    (r"veo-3\.1-generate(?:-[\w-]+)?/4k", "video_seconds", "0.60"),
)

_SELLERS: Mapping[str, tuple[tuple[str, str, str], ...]] = MappingProxyType(
    {"openai": _OPENAI, "azure": _OPENAI, "google": _GOOGLE}
)


def sells(seller: str, model: str) -> bool:
    """Return whether a seller has prices by piece of a model, in any size or quality."""
    names = (pattern.partition("/")[0] for pattern, *_ in _SELLERS.get(seller, ()))
    return any(re.fullmatch(name, model, re.IGNORECASE) for name in names)


def prices(seller: str, model: str) -> Any:
    """Return the prices by piece of a model at a seller, with the catalogue's kind of names; None if it has none."""
    for pattern, name, usd in _SELLERS.get(seller, ()):
        if re.fullmatch(pattern, model, re.IGNORECASE):
            return SimpleNamespace(**{name: Decimal(usd)})
    return None
