"""Reads settings from a file or a mapping, and says what is wrong with them, each thing in a line.

Nothing that stands in the document as a string is repeated in an error: it may be a key.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Any, Self, get_args, get_origin

from pydantic import BaseModel, ValidationError

from llmmetrics.errors import ConfigError
from llmmetrics.settings.model import Settings

log = logging.getLogger("llmmetrics")

ROOT, SNAKE_ROOT = "LlmSettings", "llm_settings"

ELSEWHERE = ("Memory", "PromptBuilders", "Plugins", "Secrets", "Caching")
"""Sections that the guide's own library has and this one has not."""

_OTHERWISE = {".toml": "tomllib.loads", ".yaml": "yaml.safe_load", ".yml": "yaml.safe_load"}
"""What reads a file of settings that is no JSON, by its suffix."""

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_BARE = re.compile(r"\$([A-Za-z_]\w*)")

_KEY = ".apikey"
"""How the path of an API key ends, in any spelling."""


class UnreadableSettingsError(ConfigError):
    """There is no JSON document at the path of the settings."""


class JsonObject(dict[str, Any]):
    """An object of a JSON document, and which of its keys stand there twice: a dict keeps the last."""

    twice: Sequence[str] = ()

    @classmethod
    def of(cls, pairs: list[tuple[str, Any]]) -> Self:
        """As the `object_pairs_hook` of `json.loads`."""
        made = cls(pairs)
        if len(made) < len(pairs):
            keys = [key for key, _ in pairs]
            made.twice = [key for key in made if keys.count(key) > 1]
        return made


def load(
    source: str | os.PathLike[str] | Mapping[str, Any] | Settings, environ: Mapping[str, str] = os.environ
) -> Settings:
    """Settings from a JSON file's path, from its content, or as they are.

    The document is `{"LlmSettings": {...}}`, beside which an application may have sections of its own, or
    what stands inside. `${NAME}` in a string is replaced from `environ`; an `ApiKey` whose variable is not set is
    None. Raises `ConfigError`.
    """
    if isinstance(source, Settings):
        return source
    where, document = _read(source) if isinstance(source, str | os.PathLike) else (ROOT, source)
    if not isinstance(document, Mapping):
        raise ConfigError(f"{where}: the settings should be a JSON object, not {type(document).__name__}")
    roots = [name for name in document if name in (ROOT, SNAKE_ROOT)]
    if len(roots) > 1 or set(roots) & {*_twice(document)}:
        raise ConfigError(f"{where}: {ROOT} stands there twice: keep one")
    if roots:
        document = document[roots[0]]
        if not isinstance(document, Mapping):
            raise ConfigError(f"{roots[0]} should be a JSON object, not {type(document).__name__}")
    ignored = [name for name in document if _plain(name) in map(_plain, ELSEWHERE)]
    if ignored:
        log.warning("%s: sections of another library are ignored: %s", ROOT, ", ".join(ignored))
    try:
        problems = [*unknown_keys(document, Settings, ROOT, ignored)]
        document = {name: value for name, value in document.items() if name not in ignored}
        if not problems:
            found = Settings.model_validate(_substitute(document, ROOT, environ))
            return _beside(source, found) if isinstance(source, str | os.PathLike) else found
    except RecursionError:
        problems = [f"{where}: nested too deep for settings: keep to the sections that the guide shows"]
    except ValidationError as exc:
        problems = [problem(error, ROOT) for error in exc.errors(include_url=False, include_context=False)]
    # outside the handler: the validation error holds the document's values
    raise ConfigError(said(problems, "the settings have"))


def _beside(source: str | os.PathLike[str], found: Settings) -> Settings:
    """The settings of a file, with the paths of the price file and of the ledger from its directory on."""
    directory = Path(source).parent
    price_file, budget = found.price_file, found.budget
    if price_file is not None:
        price_file = str(directory / price_file)
    if budget.ledger is not None:
        budget = budget.model_copy(update={"ledger": absolute_ledger(budget.ledger, directory)})
    return found.model_copy(update={"price_file": price_file, "budget": budget})


def _read(source: str | os.PathLike[str]) -> tuple[str, Any]:
    path = Path(source)
    if str(path).lstrip().startswith("{"):
        raise ConfigError("the settings should be a path or a mapping, not JSON text: pass json.loads(text)")
    try:
        return str(path), json.loads(path.read_text("utf-8-sig"), parse_float=Decimal, object_pairs_hook=JsonObject.of)
    except UnicodeDecodeError:
        problem = f"{path}: not UTF-8, so no settings file: save it as UTF-8"
    except json.JSONDecodeError as exc:
        problem = f"{path}:{exc.lineno}:{exc.colno}: not JSON: {exc.msg}"
        if parse := _OTHERWISE.get(path.suffix.lower()):
            problem = f"{path}: a settings file is JSON: convert it, or give Meter.from_settings what {parse} reads"
    except RecursionError:
        problem = f"{path}: nested too deep for a settings file: keep to the sections that the guide shows"
    except OSError as exc:
        problem = f"{path}: the settings cannot be read ({exc.strerror or exc}): give the path of a JSON file"
    except (ValueError, ArithmeticError):
        # an integer of thousands of digits, an exponent that no Decimal has; or the path holds a NUL
        problem = f"{path}: the settings cannot be read: look for a number that is far too large, or a wrong path"
    # outside the handlers: their exceptions hold the document's text
    raise UnreadableSettingsError(problem)


def _section_of(annotation: Any) -> type[BaseModel] | None:
    """The section inside a field's annotation, if there is one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (tuple, UnionType):
        return next(filter(None, map(_section_of, get_args(annotation))), None)
    return None


def _plain(key: object) -> str:
    """A key without what only looks differ by."""
    return str(key).replace("_", "").casefold()


def _twice(document: Mapping[str, Any]) -> Sequence[str]:
    return document.twice if isinstance(document, JsonObject) else ()


def unknown_keys(
    document: Mapping[str, Any], section: type[BaseModel], path: str, ignored: Collection[str] = ()
) -> Iterator[str]:
    """What is wrong with the keys of a section and of those inside it, but for the ignored ones."""
    yield from (f"{path}.{key} stands there twice: keep one" for key in _twice(document) if key not in ignored)
    fields = section.model_fields
    by_key = {str(field.alias): name for name, field in fields.items()}
    known = {**by_key, **{name: name for name in fields}}
    seen: dict[str, str] = {}
    for key, value in document.items():
        if key in ignored:
            continue
        name = known.get(key)
        if name is None:
            near = get_close_matches(_plain(key), [*map(_plain, known), _plain(ROOT)], 1, 0.7)
            names = {**{_plain(each): str(fields[name].alias) for each, name in known.items()}, _plain(ROOT): ROOT}
            hint = f"did you mean {names[near[0]]}?" if near else f"known here: {', '.join(by_key)}"
            yield f"{path}.{key} is unknown: {hint}"
            continue
        if name in seen:
            yield f"{path}.{key} stands there twice, also as {seen[name]}: keep one"
        seen[name] = key
        inner = _section_of(fields[name].annotation)
        if inner is None:
            continue
        items = enumerate(value) if isinstance(value, list | tuple) else [(None, value)]
        for index, item in items:
            if isinstance(item, Mapping):
                yield from unknown_keys(item, inner, f"{path}.{key}" + ("" if index is None else f"[{index}]"))


def _substitute(value: Any, path: str, environ: Mapping[str, str]) -> Any:
    """The document with `${NAME}` replaced."""
    if isinstance(value, Mapping):
        return {key: _substitute(each, f"{path}.{key}", environ) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_substitute(each, f"{path}[{index}]", environ) for index, each in enumerate(value)]
    if not isinstance(value, str):
        return value

    for bare in _BARE.finditer(value):
        if bare[0] == value or bare[1] in environ:
            log.warning("%s holds a $ and a name without braces, and is taken as it stands: write ${NAME}", path)
            break
    unset = [name for name in _VARIABLE.findall(value) if name not in environ]
    if not unset:
        return _VARIABLE.sub(lambda match: environ[match[1]], value)
    if _plain(path).endswith(_KEY):
        # nothing here needs the key, and an application without one can still be imported
        return None
    raise ConfigError(f"{path}: the environment variable {unset[0]} is not set: set it, or leave the key out")


_WORDS = {
    **dict.fromkeys(("tuple_type", "list_type"), "should be a list, as in [1, 2]"),
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type"), 'should be an object, as in {"Key": 1}'),
    "string_type": "should be a string in quotes",
    "string_too_short": "should not be empty",
    **dict.fromkeys(("bool_type", "bool_parsing"), "should be true or false"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "should be a whole number"),
    **dict.fromkeys(("float_type", "float_parsing", "decimal_type", "decimal_parsing"), "should be a number"),
}
"""What pydantic says in Python's terms, by its type of error, in words for who writes JSON."""


def problem(error: Any, path: str) -> str:
    """What one of pydantic's errors comes to, in a line; `path` is where the document begins."""
    for step in error["loc"]:
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    if error["type"] == "missing":
        return f"{path} is missing"
    if error["type"] == "value_error":
        return f"{path}: {str(error['msg']).removeprefix('Value error, ')}"
    return f"{path}: {_WORDS.get(error['type']) or re.sub(r'^[A-Z][a-z]+ (input )?should', 'should', error['msg'])}"


def said(problems: list[str], whose: str) -> str:
    """The problems as one message; `whose` is as in "the settings have"."""
    if len(problems) == 1:
        return problems[0]
    return "\n".join([f"{whose} several errors:", *(f"  {each}" for each in problems)])


def absolute_ledger(url: str, directory: Path) -> str:
    """The URL with the path of an sqlite:// file that is relative made absolute, from this directory on."""
    path = url.removeprefix("sqlite:///")
    if path == url or not path or path.startswith("~"):
        return url
    return f"sqlite:///{directory.absolute() / path}"
