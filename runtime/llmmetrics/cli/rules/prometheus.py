"""The queries of Prometheus' rules files, and what a `prometheus.yml` says that concerns them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llmmetrics.cli.output.findings import error
from llmmetrics.cli.rules.queries import Document, Placed, Query, UnreadableError

_CONFIG = frozenset(
    [
        *("global", "alerting", "rule_files", "scrape_configs", "scrape_config_files", "storage"),
        *("remote_write", "remote_read", "tracing", "otlp", "runtime"),
    ]
)
# https://prometheus.io/docs/alerting/latest/configuration; it has `global` and `tracing` as well
_ALERTMANAGER = frozenset(["route", "receivers", "inhibit_rules"])


def document(content: Any) -> Document:
    """A rules file, a `prometheus.yml`, or promtool's unit tests, in which there is nothing to check."""
    if isinstance(content, list) and content and isinstance(content[0], dict) and {"alert", "record"} & set(content[0]):
        raise UnreadableError("has rules outside a group: write `groups: [{name: …, rules: […]}]` around them")
    if isinstance(content, dict):
        if content.get("kind") == "PrometheusRule" and isinstance(content.get("spec"), dict):
            return Document(list(_rules(content["spec"].get("groups"))))
        if "groups" in content:
            return Document(list(_rules(content["groups"])), checked_by="rules")
        if isinstance(content.get("tests"), list):
            return Document()
        if _ALERTMANAGER & content.keys() and not {"scrape_configs", "rule_files"} & content.keys():
            raise UnreadableError(
                "is an alertmanager.yml, which has no queries: `amtool check-config` checks it; give the rules file"
            )
        if _CONFIG & content.keys():
            return Document((), list(_retention(content)), frozenset(_targets(content)), "config")
    raise UnreadableError(
        "is YAML, but neither rules (`groups`) nor a prometheus.yml (`scrape_configs`): give one of these, or a "
        "Grafana dashboard in JSON"
    )


def _rules(groups: Any) -> Iterator[Query]:
    for group in groups if isinstance(groups, list) else [groups]:
        if not isinstance(group, dict) or not isinstance(group.get("rules"), list):
            raise UnreadableError("is no rules file: `groups` is a list, each with a `name` and a list of `rules`")
        for number, rule in enumerate(group["rules"], 1):
            yield _rule(f"{group.get('name')}", number, rule)


def _rule(group: str, number: int, rule: Any) -> Query:
    kinds = [each for each in ("alert", "record") if isinstance(rule, dict) and rule.get(each)]
    if len(kinds) != 1 or not str(rule.get("expr") or "").strip():
        raise UnreadableError(
            f"is no rules file: rule {number} of group {group!r} should have `alert` or `record`, and an `expr`"
        )
    name = str(rule[kinds[0]])
    return Query(
        f"{group}/{name}",
        kinds[0],
        str(rule["expr"]),
        name=name,
        labels=_texts(rule.get("labels")),
        texts=_texts(rule.get("annotations")),
    )


def _texts(given: Any) -> Mapping[str, str]:
    return {str(name): str(text) for name, text in given.items()} if isinstance(given, dict) else {}


def _retention(config: Mapping[str, Any]) -> Iterator[Placed]:
    storage = config.get("storage")
    tsdb = storage.get("tsdb") if isinstance(storage, dict) else None
    given = {str(name): value for name, value in tsdb.items()} if isinstance(tsdb, dict) else {}
    for name in [each for each in given if each.startswith("retention")]:
        flags = [f"retention.{each}" for each in given[name]] if isinstance(given[name], dict) else [name]
        for flag in flags:
            yield Placed(
                f"storage.tsdb.{flag}",
                error(
                    "Prometheus 2.42 and 3.5 reject this in their configuration file, and do not start",
                    f"start it with --storage.tsdb.{flag}=…",
                ),
            )


def _targets(value: Any) -> Iterator[str]:
    """Every label that scraping adds: of targets, by relabelling, or to all that leaves this Prometheus."""
    if isinstance(value, dict):
        for name, each in value.items():
            if name in ("labels", "external_labels") and isinstance(each, dict):
                yield from map(str, each)
            elif name == "target_label" and isinstance(each, str):
                yield each
            else:
                yield from _targets(each)
    elif isinstance(value, list):
        for each in value:
            yield from _targets(each)
