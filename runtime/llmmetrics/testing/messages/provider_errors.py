"""How a provider reports its errors: the row that each file of `shapes` has for its provider.

The codes and bodies are from the providers' public pages:
https://platform.openai.com/docs/guides/error-codes, https://docs.anthropic.com/en/api/errors,
https://ai.google.dev/gemini-api/docs/troubleshooting, https://cloud.google.com/apis/design/errors,
https://docs.cohere.com/reference/errors, https://docs.voyageai.com/docs/error-codes,
https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html with
https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html, https://docs.x.ai/docs/key-information/debugging, https://cloud.ibm.com/apidocs/watsonx-ai#error-handling.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from llmmetrics.testing.messages.model import Fault

Headers = tuple[tuple[str, str], ...]


class Refusal(NamedTuple):
    """A fault as one provider reports it."""

    http: int
    code: str
    message: str
    body: Any
    headers: Headers


class ProviderErrors(NamedTuple):
    """How one provider reports its errors; a fault without a code of its own is the provider's `plain` error."""

    name: str
    codes: Mapping[str, str]
    """By the fault's name."""
    body: Callable[[int, str, str], Any]
    """Make a JSON body of HTTP status, code and message."""
    http: Mapping[str, int] = {}
    """The HTTP status of a fault, if it is not the status of most providers."""
    cannot: frozenset[str] = frozenset()
    """The faults that the provider does not report: they are no error there, or do not happen."""
    plain: str = ""
    """The code of other faults."""
    headers: Callable[[str], Headers] = lambda _: ()
    """The headers that report a code."""
    in_band: Callable[[Any], Any] = lambda body: body
    """Make the body of an error inside a 200 from the body of the error."""


def wrapped(body: Any) -> Any:
    """Return an error inside a 200 as gateways send it, for a provider whose own errors have no key `error`."""
    return {"error": body}


NO_FILTER = frozenset(["content_filtered"])
"""What a provider cannot report that answers blocked content with a 200."""


def refusal(errors: ProviderErrors, fault: Fault) -> Refusal:
    """Return a fault as a provider reports it. An error inside a 200 has the body of a 500."""
    http = errors.http.get(fault.name, 500 if fault.in_band else fault.http)
    code = errors.codes.get(fault.name, errors.plain)
    message = f"Simulated fault: {fault.name.replace('_', ' ')}."
    after = (("retry-after", fault.retry_after),) if fault.retry_after else ()
    return Refusal(http, code, message, errors.body(http, code, message), (*errors.headers(code), *after))
