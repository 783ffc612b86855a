"""A price file: the user's own prices of models, each from a start time. YAML or JSON.

A lookup compares name, provider and tier; of the rows that match and have started, the most exact one applies.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, AwareDatetime, Field, model_validator

from llmmetrics.errors import ConfigError
from llmmetrics.pricing.price import Price
from llmmetrics.settings.loading import JsonObject, joined, unknown_keys, validated
from llmmetrics.settings.rates import Prices, Section

SCHEMA = 1

_Word = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(str.lower)]


class PriceRow(Prices):
    """A model's prices from a moment on. Upper and lower case in names are equal."""

    provider: _Word | None = None
    """As in `llm_*{backend=...}` of traffic without a configured backend, such as `openai`; None: any."""
    model: _Word
    """A model's name, or a pattern with `*` and `?`."""
    tier: _Word | None = None
    """The service tier that the answer names: `flex`, `priority`, `batch`; None: the standard one."""
    from_: AwareDatetime = Field(alias="From")
    """When the prices start, with a time zone; they apply until a later row starts."""

    @model_validator(mode="after")
    def _some_price(self) -> Self:
        if not self.usd:
            raise ValueError("has no price: give CostPerMillionInputTokens or another price")
        return self

    @property
    def what(self) -> tuple[str | None, str, str | None, datetime]:
        """The row's key: provider, model, tier and start."""
        return (self.provider, self.model, self.tier, self.from_.astimezone(UTC))

    @property
    def exact(self) -> tuple[bool, bool, int]:
        """How exact the row is: with a provider, a name rather than a pattern, a longer pattern."""
        return (self.provider is not None, not set(self.model) & set("*?["), len(self.model))


class PriceFile(Section):
    """The document."""

    schema_: int = Field(alias="Schema", ge=1, le=SCHEMA)
    """The version of the document's form: 1."""
    prices: tuple[PriceRow, ...] = ()

    @model_validator(mode="after")
    def _once_each(self) -> Self:
        first: dict[object, int] = {}
        for index, row in enumerate(self.prices):
            other = first.setdefault(row.what, index)
            if other != index:
                raise ValueError(
                    f"Prices[{other}] and Prices[{index}] have the same Provider, Model, Tier and From: keep one"
                )
        return self


class PriceSheet:
    """The rows of a price file, with lookup."""

    def __init__(self, rows: Iterable[PriceRow]) -> None:
        # the most exact first, then the latest
        ordered = sorted(rows, key=lambda row: (row.exact, row.from_), reverse=True)
        self._rows = [(row, price) for row in ordered if (price := row.price)]
        self._found: dict[tuple[str, str | None, str | None, str | None], Sequence[tuple[datetime, Price]]] = {}

    @property
    def names(self) -> list[str]:
        """The models in the rows."""
        return sorted({row.model for row, _ in self._rows})

    def price(
        self, model: str, provider: str | None, seller: str | None, now: Callable[[], datetime], tier: str | None = None
    ) -> Price | None:
        """Return a model's price at the moment `now()`; None if no row matches.

        `provider` is our id of the provider, `seller` the catalogue's id; a row may have either.
        """
        key = (model, provider, seller, tier)
        rows = self._found.get(key)
        if rows is None:
            if len(self._found) > 4096:
                self._found.clear()
            rows = self._found[key] = [
                (row.from_, price)
                for row, price in self._rows
                if row.tier == tier
                and (row.provider is None or row.provider in (provider, seller))
                and fnmatchcase(model.lower(), row.model)
            ]
        if not rows:
            return None
        moment = now()
        return next((price for begins, price in rows if begins <= moment), None)

    def first(
        self,
        models: Iterable[str | None],
        provider: str | None,
        seller: str | None,
        now: Callable[[], datetime],
        tier: str | None = None,
    ) -> Price | None:
        """Return the price of the first of these models that has one."""
        prices = (self.price(model, provider, seller, now, tier) for model in models if model)
        return next(filter(None, prices), None)


def read(source: str | os.PathLike[str], setting: str = "LlmSettings.PriceFile") -> PriceSheet:
    """Read a price file, JSON or (`.yaml`, `.yml`) YAML, that this setting names.

    Raises `ConfigError` with a line for each error.
    """
    path = Path(source)
    document = _document(path, setting)
    if not isinstance(document, dict):
        raise ConfigError(f'{path}: a price file should be an object such as {{"Schema": 1, "Prices": [...]}}')
    version = document.get("Schema", document.get("schema_"))
    if isinstance(version, int) and version > SCHEMA:
        raise ConfigError(
            f"{path}: the price file has Schema {version}, this llmmetrics reads up to {SCHEMA}: install a newer one"
        )
    content, problems = validated(PriceFile, document, str(path), [*unknown_keys(document, PriceFile, str(path))])
    if content is not None:
        return PriceSheet(content.prices)
    raise ConfigError(joined([each.replace(f"{path}.", f"{path}: ", 1) for each in problems], "the price file has"))


def _document(path: Path, setting: str) -> Any:
    parse = _yaml if path.suffix.lower() in {".yaml", ".yml"} else _json
    try:
        return parse(path.read_text("utf-8-sig"))
    except ConfigError:
        raise
    except UnicodeDecodeError:
        fault = "it is not UTF-8: save it as UTF-8"
    except OSError as exc:
        fault = f"{exc.strerror or exc}: set {setting} to the path of a JSON or YAML file"
    except (ValueError, ArithmeticError, RecursionError) as exc:
        fault = f"{_first_line(exc)}: it should be JSON, or YAML in a file named .yaml"
    # outside the handlers: their exceptions hold the document's text
    raise ConfigError(f"{path}: the price file cannot be read: {fault}")


def _first_line(exc: Exception) -> str:
    return str(exc).partition("\n")[0] or type(exc).__name__


def _json(text: str) -> Any:
    return json.loads(text, parse_float=Decimal, object_pairs_hook=JsonObject.of)


def _yaml(text: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise ConfigError(
            "the price file is YAML, and PyYAML is not installed: pip install 'llmmetrics[yaml]', or write JSON"
        ) from None

    class EachKeyOnce(yaml.SafeLoader):
        """A loader that refuses duplicate keys: YAML's own keeps the last."""

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT002 - PyYAML's signature
            lines: dict[str, int] = {}
            for key, _ in node.value:
                if first := lines.get(str(key.value)):
                    twice = f"the key {key.value} is there twice, first on line {first}: keep one"
                    raise yaml.constructor.ConstructorError(problem=twice, problem_mark=key.start_mark)
                lines[str(key.value)] = key.start_mark.line + 1
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(text, EachKeyOnce)  # noqa: S506 - a SafeLoader
    except (ValueError, LookupError, ArithmeticError, AttributeError, RecursionError):
        # a mistake that YAML itself does not see; the exception may quote the value
        raise ValueError("a date, a number or a nesting of it cannot be read") from None
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise ValueError(f"{where}{getattr(exc, 'problem', None) or 'not YAML'}") from None
