"""Prices in the settings and in a price file: USD by bucket, under the guide's names."""

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_pascal

from llmmetrics.pricing.price import Price, configured

Dollars = Annotated[Decimal, Field(ge=0, allow_inf_nan=False, decimal_places=12)]
"""USD, exact to twelve decimals."""


class Section(BaseModel):
    """A part of a document whose keys may be in PascalCase or in snake_case."""

    model_config = ConfigDict(
        alias_generator=to_pascal,
        populate_by_name=True,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        # the validators are built with the first document: a third of the time of an import
        defer_build=True,
    )


BUCKETS: dict[str, str] = {
    "cost_per_million_input_tokens": "input",
    "cost_per_million_audio_input_tokens": "input_audio",
    "cost_per_million_image_input_tokens": "input_image",
    "cost_per_million_video_input_tokens": "input_video",
    "cost_per_million_cached_input_tokens": "cache_read",
    "cost_per_million_cached_audio_input_tokens": "cache_read_audio",
    "cost_per_million_cached_image_input_tokens": "cache_read_image",
    "cost_per_million_cached_video_input_tokens": "cache_read_video",
    "cost_per_million_cache_write_tokens": "cache_write",
    "cost_per_million_cache_write_1h_tokens": "cache_write_1h",
    "cost_per_million_output_tokens": "output",
    "cost_per_million_reasoning_tokens": "reasoning",
    "cost_per_million_audio_output_tokens": "output_audio",
    "cost_per_million_image_output_tokens": "output_image",
    "cost_per_million_video_output_tokens": "output_video",
    "cost_per_thousand_web_searches": "web_search",
    "cost_per_thousand_file_searches": "file_search",
    "cost_per_thousand_tool_uses": "tool_use",
    "cost_per_thousand_images": "image",
    "cost_per_thousand_pages": "page",
    "cost_per_thousand_annotated_pages": "annotated_page",
    "cost_per_million_characters": "character",
    "cost_per_audio_hour": "audio_ms",
    "cost_per_video_second": "video_second",
}
"""The bucket of `llmmetrics.wire.usage` of each price."""


class Prices(Section):
    """USD for a million tokens of each bucket, or for pieces (images, pages, characters, an hour of sound, searches).

    A bucket without its own price takes that of input or output (`llmmetrics.pricing.price.ELSE`); a fee does not.
    """

    cost_per_million_input_tokens: Dollars | None = None
    cost_per_million_audio_input_tokens: Dollars | None = None
    cost_per_million_image_input_tokens: Dollars | None = None
    cost_per_million_video_input_tokens: Dollars | None = None
    cost_per_million_cached_input_tokens: Dollars | None = None
    cost_per_million_cached_audio_input_tokens: Dollars | None = None
    cost_per_million_cached_image_input_tokens: Dollars | None = None
    cost_per_million_cached_video_input_tokens: Dollars | None = None
    cost_per_million_cache_write_tokens: Dollars | None = None
    cost_per_million_cache_write_1h_tokens: Dollars | None = None
    cost_per_million_output_tokens: Dollars | None = None
    cost_per_million_reasoning_tokens: Dollars | None = None
    cost_per_million_audio_output_tokens: Dollars | None = None
    cost_per_million_image_output_tokens: Dollars | None = None
    cost_per_million_video_output_tokens: Dollars | None = None
    cost_per_thousand_web_searches: Dollars | None = None
    cost_per_thousand_file_searches: Dollars | None = None
    cost_per_thousand_tool_uses: Dollars | None = None
    cost_per_thousand_images: Dollars | None = None
    cost_per_thousand_pages: Dollars | None = None
    cost_per_thousand_annotated_pages: Dollars | None = None
    cost_per_million_characters: Dollars | None = None
    cost_per_audio_hour: Dollars | None = None
    cost_per_video_second: Dollars | None = None

    @property
    def usd(self) -> dict[str, Decimal]:
        """The prices that are set, by bucket."""
        amounts = {bucket: getattr(self, name) for name, bucket in BUCKETS.items()}
        return {bucket: amount for bucket, amount in amounts.items() if amount is not None}

    @property
    def price(self) -> Price | None:
        """The price; None if nothing is set."""
        return configured(self.usd) if self.usd else None
