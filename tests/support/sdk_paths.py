"""The paths that an SDK's own methods POST to, read from its source."""

from __future__ import annotations

import ast
import re
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple


class Sdk(NamedTuple):
    package: str
    provider: str
    base: str
    """Host and path that a relative path is joined to."""


SDKS = (
    Sdk("openai", "openai", "api.openai.com/v1"),
    Sdk("anthropic", "anthropic", "api.anthropic.com"),
    Sdk("google.genai", "google", "generativelanguage.googleapis.com/v1beta"),
    Sdk("mistralai", "mistral", "api.mistral.ai"),
    Sdk("cohere", "cohere", "api.cohere.com"),
    Sdk("groq", "groq", "api.groq.com"),
    Sdk("together", "together", "api.together.ai"),
    Sdk("ollama", "ollama", "localhost:11434"),
)

_SENDERS = {"_post", "request", "request_streamed", "async_request", "async_request_streamed", "_request", "_stream"}
_SENDERS |= {"_request_raw", "_get_api_list", "_build_request", "_build_request_async", "_post_raw", "stream"}


def _text(node: ast.expr | None) -> str | None:
    """A string, with `{}` for what is only known when it runs."""
    match node:
        case ast.Constant(value=str(value)):
            return value
        case ast.JoinedStr(values=values):
            return "".join(str(each.value) if isinstance(each, ast.Constant) else "{}" for each in values)
        case ast.Call(func=ast.Attribute(value=inner, attr="format_map" | "format")):
            return _text(inner)
        case ast.Call(args=[first, *_]):
            return _text(first)
        case ast.IfExp(body=body):
            return _text(body)
    return None


def _paths_of(function: ast.AST):
    """The paths that one function POSTs to."""
    nodes = [each for each in ast.walk(function) if isinstance(each, ast.Assign | ast.Call)]
    assigned = [
        path
        for node in nodes
        if isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == "path" for target in node.targets)
        and (path := _text(node.value))
    ]
    for call in nodes:
        if not isinstance(call, ast.Call):
            continue
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        named = {each.arg: each.value for each in call.keywords}
        if name not in _SENDERS:
            continue
        texts = [_text(each) for each in (*call.args, *(named.get(each) for each in ("path", "url")))]
        method = _text(named.get("method"))
        if name != "_post" and "POST" not in {str(each).upper() for each in (method, *texts)}:
            continue
        found = [each for each in texts if each and each.upper() != "POST"]
        yield from found[:1] or assigned


_POSTS = re.compile(r"""_post\(|["']post["']""", re.IGNORECASE)


def _functions(tree: ast.Module):
    """The functions of a module and of its classes; the async half of an SDK has the same paths."""
    for node in tree.body:
        for inner in node.body if isinstance(node, ast.ClassDef) else (node,):
            if isinstance(inner, ast.FunctionDef):
                yield inner


def is_installed(sdk: Sdk) -> bool:
    """Say whether an SDK can be read. It is not imported, which takes longer than to read it."""
    with suppress(ModuleNotFoundError):
        return find_spec(sdk.package) is not None
    return False


@cache
def posted(sdk: Sdk) -> set[str]:
    """Every path that the installed SDK POSTs to, with host and values for its parameters."""
    spec = find_spec(sdk.package)
    if spec is None or not spec.submodule_search_locations:
        return set()
    (root,) = list(spec.submodule_search_locations)[:1]
    found: set[str] = set()
    for file in sorted(Path(root).rglob("*.py")):
        if {"tests", "cli", "auth"} & set(file.relative_to(root).parts):
            continue
        text = file.read_text("utf8")
        if not _POSTS.search(text):
            continue
        functions = _functions(ast.parse(text))
        found |= {path for function in functions for path in _paths_of(function)}
    return {_whole(sdk, path) for path in found if "/" in path or ":" in path or path in _BARE}


_BARE = {"batches", "files", "cachedContents", "tuningJobs", "tunedModels", "batchPredictionJobs", "fileSearchStores"}
_BARE |= {"auth_tokens"}


def _whole(sdk: Sdk, path: str) -> str:
    path = re.split(r"[?#]", path)[0].replace("{model}", "models/m").replace("{models_url}", "models")
    path = path.replace("{{api_version}}", "v1beta").replace("{api_version}", "v1beta")
    path = re.sub(r"\{\w*\}", "x", path)
    if "://" in path:
        return path.partition("://")[2]
    base = sdk.base.partition("/")[0] if path.lstrip("/").startswith(("v1beta/", "upload/")) else sdk.base
    return f"{base}/{path.lstrip('/')}"
