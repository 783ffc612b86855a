"""Images, sounds, films and documents inside a request, read from their names and first bytes."""

import re
from base64 import b64decode
from struct import error, unpack_from
from typing import Final, NamedTuple


class Medium(NamedTuple):
    """Something in a request that is not text. 0: not known."""

    kind: str
    """`image`, `audio`, `video` or `document`."""
    width: int = 0
    height: int = 0
    seconds: float = 0.0
    pages: int = 0


HELD: Final = frozenset({"data", "bytes", "file_data", "image_base64", "video_base64", "images"})
"""Fields that hold a file as base64."""
ELSEWHERE: Final = frozenset({"url", "uri", "image_url", "file_url", "fileUri", "file_uri", "file_data"})
"""Fields that name a file."""

_START = 64 * 1024
"""Characters of base64 that are read: a JPEG may hold a preview before its size."""
# `re` compiles these with the first medium, and keeps them
_MAGIC = (
    rb"(?s)(?P<image>\x89PNG|\xff\xd8\xff|GIF8|RIFF....WEBP)|(?P<document>%PDF)|(?P<video>....ftyp|\x1aE\xdf\xa3)"
    rb"|(?P<audio>RIFF....WAVE|ID3|\xff[\xe2-\xfb]|OggS|fLaC)"
)
_KINDS = {
    "image": r"(?i)image|\.(?:png|jpe?g|gif|webp)\b",
    "video": r"(?i)video|youtu|\.(?:mp4|mov|webm)\b",
    "audio": r"(?i)audio|\.(?:wav|mp3|ogg|flac|m4a)\b",
    "document": r"(?i)document|file|\.(?:pdf|docx)\b",
}
_PAGE = rb"/Type\s*/Page\b"
_BYTES_A_SECOND = {"audio": 16_000, "video": 125_000}
"""128 kbit/s and 1 Mbit/s, if the first bytes do not hold the rate."""


def medium_of(value: str, name: str, about: str) -> Medium | str | None:
    """Return the medium that a field holds, or the text of a text file; None for other values.

    `about` is its surroundings: the names of the fields that it is in, its type.
    """
    if value.startswith("data:"):
        kind, comma, encoded = value.partition(",")
        return _held(encoded, kind) if comma else None
    if name in ELSEWHERE and "://" in value[:8]:
        return _named(f"{about} {value}")
    return _held(value, about) if name in HELD else None


def _held(encoded: str, about: str) -> Medium | str | None:
    try:
        start = b64decode(encoded[:_START])
    except ValueError:
        return None
    if magic := re.match(_MAGIC, start):
        return _measured(magic.lastgroup or "document", start, len(encoded) * 3 // 4)
    try:
        return b64decode(encoded).decode()
    except ValueError:
        return _named(about)


def _named(about: str) -> Medium | None:
    """Return a medium of which only the name is known."""
    kind = next((kind for kind, pattern in _KINDS.items() if re.search(pattern, about)), None)
    return Medium(kind) if kind else None


def _measured(kind: str, start: bytes, size: int) -> Medium:
    if kind == "image":
        width, height = dimensions(start)
        return Medium(kind, width, height)
    if kind == "document":
        return Medium(kind, pages=len(re.findall(_PAGE, start)))
    rate = _BYTES_A_SECOND[kind]
    if start[8:12] == b"WAVE" and len(start) >= 32:
        rate = max(unpack_from("<I", start, 28)[0], 1000)
    return Medium(kind, seconds=size / rate)


def dimensions(start: bytes) -> tuple[int, int]:
    """Return width and height of an image in pixels, from its header; zeros if they are not there.

    PNG https://www.w3.org/TR/png, GIF https://www.w3.org/Graphics/GIF/spec-gif89a.txt, JPEG
    https://www.w3.org/Graphics/JPEG/itu-t81.pdf, WebP https://developers.google.com/speed/webp/docs/riff_container.
    """
    try:
        if start[:4] == b"\x89PNG":
            return unpack_from(">II", start, 16)
        if start[:4] == b"GIF8":
            return unpack_from("<HH", start, 6)
        if start[:3] == b"\xff\xd8\xff":
            return _jpeg(start)
        return _webp(start)
    except error:
        return 0, 0


def _jpeg(start: bytes) -> tuple[int, int]:
    at = 2
    while start[at : at + 1] == b"\xff":
        marker, size = unpack_from(">BH", start, at + 1)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = unpack_from(">HH", start, at + 5)
            return width, height
        at += 2 + size
    return 0, 0


def _webp(start: bytes) -> tuple[int, int]:
    kind = start[12:16]
    if kind == b"VP8 ":
        width, height = unpack_from("<HH", start, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        (bits,) = unpack_from("<I", start, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        low, high, low_2, high_2 = unpack_from("<HBHB", start, 24)
        return (high << 16 | low) + 1, (high_2 << 16 | low_2) + 1
    return 0, 0
