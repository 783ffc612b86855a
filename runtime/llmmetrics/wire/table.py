"""The table of wire formats. A module of formats is imported when those before it do not have a path or a host."""

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import overload

from llmmetrics.wire.format import Format
from llmmetrics.wire.hosts import add_hosts


class FormatTable(Sequence[Format]):
    """Formats that are registered, then those of the modules, in their order.

    It needs no lock: threads that import a module at once get the same rows.
    """

    def __init__(self, *modules: str) -> None:
        self.modules = modules
        self._rows: dict[str, tuple[Format, ...]] = {}
        """The formats of the modules that are imported."""
        self._registered: tuple[Format, ...] = ()

    def register(self, format: Format) -> None:
        """Put a format before the others, in place of one with its id."""
        add_hosts(format.hosts, replace=True)
        self._registered = (format, *(each for each in self._registered if each.id != format.id))

    def more(self) -> bool:
        """Import the next module; return False if all are imported."""
        name = next((each for each in self.modules if each not in self._rows), None)
        return name is not None and bool(self._import(name))

    def _import(self, name: str) -> tuple[Format, ...]:
        rows: tuple[Format, ...] = import_module(f"llmmetrics.wire.{name}").FORMATS
        for each in rows:
            add_hosts(each.hosts, replace=False)
        self._rows[name] = rows
        return rows

    def __iter__(self) -> Iterator[Format]:
        registered = self._registered
        yield from registered
        ids = {each.id for each in registered}
        for name in self.modules:
            for each in self._rows.get(name) or self._import(name):
                if each.id not in ids:
                    yield each

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @overload
    def __getitem__(self, index: int) -> Format: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Format]: ...
    def __getitem__(self, index: int | slice) -> Format | Sequence[Format]:
        return [*self][index]
