"""Which provider a host belongs to."""

from __future__ import annotations

import re
from typing import NamedTuple

HOSTS: dict[str, str] = {
    "api.openai.com": "openai",
    "openai.azure.com": "azure",
    "services.ai.azure.com": "azure",
    "cognitiveservices.azure.com": "azure",
    "azure-api.net": "azure",
    "api.anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "google",
    "aiplatform.googleapis.com": "google-vertex",
    "api.cohere.com": "cohere",
    "api.cohere.ai": "cohere",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral",
    "api.deepseek.com": "deepseek",
    "api.together.xyz": "together",
    "api.together.ai": "together",
    "api.x.ai": "x-ai",
    "openrouter.ai": "openrouter",
    "api.perplexity.ai": "perplexity",
    "ollama.com": "ollama",
    "localhost:11434": "ollama",
    "127.0.0.1:11434": "ollama",
    "localhost:1234": "lmstudio",
    "127.0.0.1:1234": "lmstudio",
    "router.huggingface.co": "huggingface",
    "api.cerebras.ai": "cerebras",
    "api.fireworks.ai": "fireworks",
    "api.moonshot.ai": "moonshotai",
    "api.z.ai": "zai",
    "api.writer.com": "writer",
    "api.voyageai.com": "voyageai",
    "ml.cloud.ibm.com": "watsonx",
}
"""Host, or host:port, or a domain and everything below it, to the provider's id."""

_PATTERNS = (
    # https://docs.aws.amazon.com/general/latest/gr/bedrock.html, and a VPC's own endpoints
    (re.compile(r"(^|\.)bedrock-(runtime|mantle)(-fips)?\.[\w-]+\.(vpce\.)?(amazonaws\.com|api\.aws)"), "aws-bedrock"),
    # what the SDKs take for the locations `us` and `eu`, and for certificates
    (re.compile(r"(?:^|[-.])aiplatform\.(?:[\w-]+\.rep|mtls)\.googleapis\.com$"), "google-vertex"),
    # Anthropic's own API, sold by a cloud
    (re.compile(r"^aws-external-anthropic\.[\w-]+\.api\.aws$|^claude\.googleapis\.com$"), "anthropic"),
)
"""Hosts with a region in the middle."""

LOCAL = frozenset({"ollama", "lmstudio"})
"""Providers that run on the user's own machines: no catalogue knows what they cost."""


class Origin(NamedTuple):
    """Where a request goes. `host` is lower-case; `port` is None for the scheme's own."""

    scheme: str
    host: str
    port: int | None

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}" + (f":{self.port}" if self.port else "")


def provider_of(origin: Origin) -> str | None:
    """The provider's id, or None for a host that nobody here knows."""
    if origin.port and (found := HOSTS.get(f"{origin.host}:{origin.port}")):
        return found
    if found := next((provider for pattern, provider in _PATTERNS if pattern.search(origin.host)), None):
        return found
    name = origin.host
    while name:
        if found := HOSTS.get(name):
            return found
        # Vertex puts its region before a dash
        label, _, rest = name.partition(".")
        name = f"{label.rpartition('-')[2]}.{rest}" if "-" in label and rest else rest
    return None
