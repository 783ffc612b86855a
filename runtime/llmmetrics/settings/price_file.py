"""A price file: the user's own prices, each from a day on, for models that they name. YAML or JSON.

Rows are found by name, provider and tier; of those that match and have begun, the most exact one holds.
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

from pydantic import AfterValidator, AwareDatetime, Field, ValidationError, model_validator

from llmmetrics.errors import ConfigError
from llmmetrics.pricing.price import Price
from llmmetrics.settings.loading import JsonObject, problem, said, unknown_keys
from llmmetrics.settings.rates import Prices, Section

SCHEMA = 1

_Word = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(str.lower)]


class PriceRow(Prices):
    """What a model costs from a moment on. Names are compared without regard to case."""

    provider: _Word | None = None
    """As in `llm_*{backend=...}` of traffic that no backend claims, `openai`; None: any."""
    model: _Word
    """A model's name, or a pattern with `*` and `?`."""
    tier: _Word | None = None
    """The service tier that the answer names: `flex`, `priority`, `batch`; None: the standard one."""
    from_: AwareDatetime = Field(alias="From")
    """When the prices begin, with its time zone; they hold until a later row's."""

    @model_validator(mode="after")
    def _some_price(self) -> Self:
        if not self.usd:
            raise ValueError("has no price: give CostPerMillionInputTokens, or any other of them")
        return self

    @property
    def what(self) -> tuple[str | None, str, str | None, datetime]:
        """What the row is the price of, and from when."""
        return (self.provider, self.model, self.tier, self.from_.astimezone(UTC))

    @property
    def exact(self) -> tuple[bool, bool, int]:
        """How exact a match is: a provider before none, a name before a pattern, a long pattern before a short."""
        return (self.provider is not None, not set(self.model) & set("*?["), len(self.model))


class PriceFile(Section):
    """The document."""

    schema_: int = Field(alias="Schema", ge=1, le=SCHEMA)
    """The version of this form: 1."""
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
    """The rows of a price file, ready to be asked."""

    def __init__(self, rows: Iterable[PriceRow]) -> None:
        # the most exact first, and of those the latest
        ordered = sorted(rows, key=lambda row: (row.exact, row.from_), reverse=True)
        self._rows = [(row, price) for row in ordered if (price := row.price)]
        self._found: dict[tuple[str, str | None, str | None, str | None], Sequence[tuple[datetime, Price]]] = {}

    @property
    def names(self) -> list[str]:
        """The models that it names."""
        return sorted({row.model for row, _ in self._rows})

    def price(
        self, model: str, provider: str | None, seller: str | None, now: Callable[[], datetime], tier: str | None = None
    ) -> Price | None:
        """The price of this model at that moment, or None where no row has it.

        `provider` and `seller` are our own id of whoever answers and the catalogue's; a row may have either.
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
        """The price of the first of these models that has one."""
        found = (self.price(model, provider, seller, now, tier) for model in models if model)
        return next(filter(None, found), None)


def read(source: str | os.PathLike[str]) -> PriceSheet:
    """The sheet in this file, JSON or (`.yaml`, `.yml`) YAML. Raises `ConfigError`, a line for each thing wrong."""
    path = Path(source)
    document = _document(path)
    if not isinstance(document, dict):
        raise ConfigError(f'{path}: a price file should be an object such as {{"Schema": 1, "Prices": [...]}}')
    version = document.get("Schema", document.get("schema_"))
    if isinstance(version, int) and version > SCHEMA:
        raise ConfigError(
            f"{path}: the price file has Schema {version}, and this llmmetrics knows {SCHEMA}: install a newer one"
        )
    try:
        problems = [*unknown_keys(document, PriceFile, str(path))]
        if not problems:
            return PriceSheet(PriceFile.model_validate(document).prices)
    except ValidationError as exc:
        problems = [problem(each, str(path)) for each in exc.errors(include_url=False, include_context=False)]
    raise ConfigError(said([each.replace(f"{path}.", f"{path}: ", 1) for each in problems], "the price file has"))


def _document(path: Path) -> Any:
    parse = _yaml if path.suffix.lower() in {".yaml", ".yml"} else _json
    try:
        return parse(path.read_text("utf-8-sig"))
    except ConfigError:
        raise
    except UnicodeDecodeError:
        fault = "it is not UTF-8: save it as UTF-8"
    except OSError as exc:
        fault = f"{exc.strerror or exc}: give LlmSettings.PriceFile the path of a JSON or YAML file"
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
            "LlmSettings.PriceFile is YAML, and PyYAML is not installed: pip install 'llmmetrics[yaml]', or write JSON"
        ) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise ValueError(f"{where}{getattr(exc, 'problem', None) or 'not YAML'}") from None
