"""Finds what would stop a meter with these settings from starting. Leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from llmmetrics.budgets import ledgers
from llmmetrics.budgets.from_settings import place_of, unpriced
from llmmetrics.errors import ConfigError, LedgerError
from llmmetrics.pricing.catalogue import Catalogue
from llmmetrics.settings.backends import Backends
from llmmetrics.settings.model import Settings
from llmmetrics.settings.price_lookup import PriceLookup
from llmmetrics.system.clock import SystemClock


def _try_directory(path: Path) -> None:
    """Make a directory and its parents, and remove what was made. Raises `LedgerError` if it cannot be made."""
    absent = [each for each in (path, *path.parents) if not each.exists()]
    created: list[Path] = []
    try:
        for each in reversed(absent):
            each.mkdir(mode=0o700)
            created.append(each)
    except FileExistsError:
        # another process has just made it
        return
    except OSError as exc:
        raise LedgerError(
            f"the directory {path} cannot be made ({exc.strerror}): make it, or name another file"
        ) from None
    finally:
        for each in reversed(created):
            with suppress(OSError):
                each.rmdir()


def faults(settings: Settings) -> Iterator[str]:
    """Check valid settings on this machine: the ledger, the price file, prices; yield each fault as a sentence."""
    if settings.budget.ledger is not None or any(each.max_spend_usd is not None for each in settings.backends):
        try:
            url = place_of(settings)[0]
            ledgers.look(url)
            if url.startswith("sqlite://"):
                _try_directory(ledgers.file_of(url).parent)
        except (ConfigError, LedgerError) as exc:
            what = str(exc)
            yield what if "LlmSettings.Budget.Ledger" in what else f"LlmSettings.Budget.Ledger: {what}"
    try:
        price_lookup = PriceLookup(settings.price_file, Catalogue(), SystemClock().now)
    except ConfigError as exc:
        yield str(exc)
        return
    yield from unpriced(settings, Backends(settings.backends), price_lookup)
