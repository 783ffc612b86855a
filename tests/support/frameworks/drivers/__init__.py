"""A driver for each framework: the same few requests, each as the framework's own documentation makes them.

A driver has these functions; `url` None is the provider's own address, and `stream` leaves after the first piece where
`leave` is true. `TEXT` is the answer, and `LACKS` says why a cell is empty.

- `ask(url, retries=0) -> str`
- `stream(url, *, leave=False) -> str`
- `ask_async(url) -> str`, a coroutine
"""

MODEL = "gpt-4o-mini"
KEY = "sk-nobodys-key"
ASK = "Say hi."
TEXT = "hi there friend, and one and two and three and four and five and six and seven"


def joined(pieces, *, leave):
    """Join the pieces of a stream; leave after the first one that has text."""
    text = ""
    for piece in pieces:
        text += piece or ""
        if text and leave:
            break
    return text
