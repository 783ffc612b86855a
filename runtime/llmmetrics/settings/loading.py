"""Reads settings from a file or a mapping, and reports every error in one line.

An error message repeats no string of the document: it may be an API key.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from types import UnionType
from typing import Any, Self, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from llmmetrics.errors import ConfigError
from llmmetrics.settings.model import Settings

log = logging.getLogger("llmmetrics")

ROOT, SNAKE_ROOT = "LlmSettings", "llm_settings"

ELSEWHERE = ("Memory", "PromptBuilders", "Plugins", "Secrets", "Caching")
"""Sections that only the guide's own library has."""

_OTHERWISE = {".toml": "tomllib.loads", ".yaml": "yaml.safe_load", ".yml": "yaml.safe_load"}
"""Functions that read other formats of settings, by the file's suffix."""

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_BARE = re.compile(r"\$([A-Za-z_]\w*)")

FEW = 10
"""How many known keys an error lists."""

_KEY = ".apikey"
"""The end of the path of an API key, in any spelling."""


class UnreadableSettingsError(ConfigError):
    """The path of the settings has no JSON document."""


class JsonObject(dict[str, Any]):
    """An object of a JSON document, and its duplicate keys: a dict keeps only the last."""

    twice: Sequence[str] = ()

    @classmethod
    def of(cls, pairs: list[tuple[str, Any]]) -> Self:
        """Make an object from pairs, as the `object_pairs_hook` of `json.loads`."""
        document = cls(pairs)
        if len(document) < len(pairs):
            keys = [key for key, _ in pairs]
            document.twice = [key for key in document if keys.count(key) > 1]
        return document


def load(
    source: str | os.PathLike[str] | Mapping[str, Any] | Settings, environ: Mapping[str, str] = os.environ
) -> Settings:
    """Load settings from a JSON file's path, or from its content; return `Settings` unchanged.

    The document is `{"LlmSettings": {...}}`, with other sections of an application next to it, or only the inner
    object. `${NAME}` in a string is replaced from `environ`; an `ApiKey` whose variable is not set is None. Raises
    `ConfigError`.
    """
    if isinstance(source, Settings):
        return source
    where, document = _read(source) if isinstance(source, str | os.PathLike) else (ROOT, source)
    if not isinstance(document, Mapping):
        raise ConfigError(f"{where}: the settings should be a JSON object, not {type(document).__name__}")
    roots = [name for name in document if name in (ROOT, SNAKE_ROOT)]
    if len(roots) > 1 or set(roots) & {*_twice(document)}:
        raise ConfigError(f"{where}: {ROOT} is there twice: keep one")
    if roots:
        document = document[roots[0]]
        if not isinstance(document, Mapping):
            raise ConfigError(f"{roots[0]} should be a JSON object, not {type(document).__name__}")
    ignored = [name for name in document if _plain(name) in map(_plain, ELSEWHERE)]
    if ignored:
        log.warning("%s: these sections belong to another library and are ignored: %s", ROOT, ", ".join(ignored))
    unknown: list[str] = []
    try:
        unknown += unknown_keys(document, Settings, ROOT, ignored)
        document = {name: value for name, value in document.items() if name not in ignored}
        settings, problems = validated(Settings, _substitute(document, ROOT, environ), ROOT, unknown)
    except RecursionError:
        settings, problems = None, [f"{where}: nested too deep for settings: use only the sections in docs/settings.md"]
    except ConfigError as exc:
        settings, problems = None, [*unknown, str(exc)]
    if settings is None:
        raise ConfigError(joined(problems, "the settings have"))
    return _with_full_paths(source, settings) if isinstance(source, str | os.PathLike) else settings


Document = TypeVar("Document", bound=BaseModel)


def validated(
    section: type[Document], document: Mapping[str, Any], path: str, unknown: Sequence[str]
) -> tuple[Document | None, list[str]]:
    """Validate a document; return it, or None and a line for each problem. `unknown` are those of `unknown_keys`."""
    try:
        valid = section.model_validate(document)
    except ValidationError as exc:
        errors = exc.errors(include_url=False, include_context=False)
    else:
        return (None if unknown else valid), [*unknown]
    # outside the handler: the validation error holds the document's values
    others = [problem(each, path) for each in errors if each["type"] != "extra_forbidden"]
    return None, [*unknown, *(each for each in others if not _misspelt(each, unknown))]


def _misspelt(problem: str, unknown: Sequence[str]) -> bool:
    """Return whether a key is missing because it is misspelt, which another problem says."""
    parent, _, key = problem.removesuffix(" is missing").rpartition(".")
    return any(each.startswith(f"{parent}.") and each.endswith(f"did you mean {key}?") for each in unknown)


def _with_full_paths(source: str | os.PathLike[str], settings: Settings) -> Settings:
    """Resolve the paths of the price file and of the ledger from the directory of the settings."""
    directory = Path(source).parent
    price_file, budget = settings.price_file, settings.budget
    if price_file is not None:
        price_file = str(directory / price_file)
    if budget.ledger is not None:
        budget = budget.model_copy(update={"ledger": absolute_ledger(budget.ledger, directory)})
    return settings.model_copy(update={"price_file": price_file, "budget": budget})


def _read(source: str | os.PathLike[str]) -> tuple[str, Any]:
    path = Path(source)
    if str(path).lstrip().startswith("{"):
        raise ConfigError("the settings should be a path or a mapping, not JSON text: pass json.loads(text)")
    try:
        return str(path), json.loads(path.read_text("utf-8-sig"), parse_float=Decimal, object_pairs_hook=JsonObject.of)
    except UnicodeDecodeError:
        problem = f"{path}: the settings are not UTF-8: save the file as UTF-8"
    except json.JSONDecodeError as exc:
        problem = f"{path}:{exc.lineno}:{exc.colno}: not JSON: {exc.msg}"
        if parse := _OTHERWISE.get(path.suffix.lower()):
            problem = (
                f"{path}: a settings file is JSON: convert it, or pass the result of {parse} to Meter.from_settings"
            )
    except RecursionError:
        problem = f"{path}: nested too deep for a settings file: use only the sections in docs/settings.md"
    except OSError as exc:
        problem = f"{path}: the settings cannot be read ({exc.strerror or exc}): give the path of a JSON file"
    except (ValueError, ArithmeticError):
        # an integer of thousands of digits, an exponent too large for Decimal, or a NUL in the path
        problem = f"{path}: the settings cannot be read: check for a much too large number, or a wrong path"
    # outside the handlers: their exceptions hold the document's text
    raise UnreadableSettingsError(problem)


def _section_of(annotation: Any) -> type[BaseModel] | None:
    """Return the section inside a field's annotation; None if there is none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (tuple, UnionType):
        return next(filter(None, map(_section_of, get_args(annotation))), None)
    return None


def _plain(key: object) -> str:
    """Normalize a key: without case and underscores."""
    return str(key).replace("_", "").casefold()


def _twice(document: Mapping[str, Any]) -> Sequence[str]:
    return document.twice if isinstance(document, JsonObject) else ()


def unknown_keys(
    document: Mapping[str, Any], section: type[BaseModel], path: str, ignored: Collection[str] = ()
) -> Iterator[str]:
    """Report unknown and duplicate keys of a section and its inner sections, except ignored ones."""
    yield from (f"{path}.{key} is there twice: keep one" for key in _twice(document) if key not in ignored)
    fields = section.model_fields
    by_key = {str(field.alias): name for name, field in fields.items()}
    known = {**by_key, **{name: name for name in fields}}
    seen: dict[str, str] = {}
    for key, value in document.items():
        if key in ignored:
            continue
        name = known.get(key)
        if name is None:
            near = _similar(_plain(key), [*map(_plain, known), _plain(ROOT)], 1, 0.7)
            names = {**{_plain(each): str(fields[name].alias) for each, name in known.items()}, _plain(ROOT): ROOT}
            yield f"{path}.{key} is unknown: {f'did you mean {names[near[0]]}?' if near else _few(str(key), by_key)}"
            continue
        if name in seen:
            yield f"{path}.{key} is there twice, also as {seen[name]}: keep one"
        seen[name] = key
        inner = _section_of(fields[name].annotation)
        if inner is None:
            continue
        items = enumerate(value) if isinstance(value, list | tuple) else [(None, value)]
        for index, item in items:
            if isinstance(item, Mapping):
                yield from unknown_keys(item, inner, f"{path}.{key}" + ("" if index is None else f"[{index}]"))


def _similar(key: str, names: list[str], most: int, cutoff: float) -> list[str]:
    # most programs need none: imported on demand
    from difflib import get_close_matches

    return get_close_matches(key, names, most, cutoff)


def _few(key: str, known: Iterable[str]) -> str:
    """Name the known keys; of many, those that are most similar."""
    names = [*known]
    if len(names) <= FEW:
        return f"the known keys are {', '.join(names)}"
    return f"the most similar keys are {', '.join(_similar(key, names, 3, 0))}"


def _substitute(value: Any, path: str, environ: Mapping[str, str]) -> Any:
    """Replace `${NAME}` in a document."""
    if isinstance(value, Mapping):
        return {key: _substitute(each, f"{path}.{key}", environ) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_substitute(each, f"{path}[{index}]", environ) for index, each in enumerate(value)]
    if not isinstance(value, str):
        return value

    for bare in _BARE.finditer(value):
        if bare[0] == value or bare[1] in environ:
            log.warning(
                "%s has a $ and a name without braces, and is used unchanged: write ${NAME} for a variable", path
            )
            break
    if "${" in _VARIABLE.sub("", value):
        log.warning("%s has a ${ without a name and a }, and is used unchanged: write ${NAME} for a variable", path)
    unset = [name for name in _VARIABLE.findall(value) if name not in environ]
    if not unset:
        return _VARIABLE.sub(lambda match: environ[match[1]], value)
    if _plain(path).endswith(_KEY):
        # llmmetrics does not need the key, and an application without it should still start
        return None
    raise ConfigError(f"{path}: the environment variable {unset[0]} is not set: set it, or remove the key")


_WORDS = {
    **dict.fromkeys(("tuple_type", "list_type"), "should be a list, in [ and ]"),
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type"), 'should be an object, as in {"Key": 1}'),
    "string_type": "should be a string in quotes",
    "string_too_short": "should not be empty",
    **dict.fromkeys(("bool_type", "bool_parsing"), "should be true or false"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "should be a whole number"),
    **dict.fromkeys(("float_type", "float_parsing", "decimal_type", "decimal_parsing"), "should be a number"),
}
"""Messages for authors of JSON, by pydantic's type of error."""


def problem(error: Any, path: str) -> str:
    """Format one of pydantic's errors as a line; `path` is the document's root."""
    for step in error["loc"]:
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    if error["type"] == "missing":
        return f"{path} is missing"
    if error["type"] == "value_error":
        return f"{path}: {str(error['msg']).removeprefix('Value error, ')}"
    return f"{path}: {_WORDS.get(error['type']) or re.sub(r'^[A-Z][a-z]+ (input )?should', 'should', error['msg'])}"


def joined(problems: list[str], subject: str) -> str:
    """Join problems into one message; `subject` is as in "the settings have"."""
    if len(problems) == 1:
        return problems[0]
    return "\n".join([f"{subject} several errors:", *(f"  {each}" for each in problems)])


def absolute_ledger(url: str, directory: Path) -> str:
    """Make the relative path of an sqlite:// URL absolute, from this directory."""
    path = url.removeprefix("sqlite:///")
    if path == url or not path or path.startswith("~"):
        return url
    return f"sqlite:///{directory.absolute() / path}"
