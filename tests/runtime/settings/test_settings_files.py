"""Settings files: reading, variables, keys and secrets."""

from __future__ import annotations

import json
import re
import traceback
from contextlib import suppress
from importlib import import_module

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic.alias_generators import to_pascal as pascal

from llmmetrics import ConfigError
from llmmetrics.settings.loading import load
from llmmetrics.settings.model import Backend, Budget, Health, Settings, Telemetry


def backend(**keys):
    return {"Backends": [{"Name": "a", "Type": "OpenAI", **keys}]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{'a': 1}", "settings.json:1:2: not JSON"),
        (b"", "not JSON"),
        (b"\xff\xfe{", "not UTF-8"),
        (b"[1]", "should be a JSON object, not list"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"Backends": ' + b"[" * 1500 + b"]" * 1500 + b"}", "nested too deep"),
        (b'{"Health": {"UnhealthyThreshold": ' + b"1" * 5000 + b"}}", "a much too large number"),
        (b'{"Budget": {"LeaseSeconds": 1e99999999999999999999}}', "a much too large number"),
    ],
)
def test_a_file_that_is_no_settings(tmp_path, content, message):
    path = tmp_path / "settings.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


# the empty name is the directory itself
@pytest.mark.parametrize(
    ("name", "text", "reads"),
    [
        ("settings.yaml", "Backends:\n- Name: a\n", "yaml.safe_load"),
        ("SETTINGS.YML", "Backends:\n- Name: a\n", "yaml.safe_load"),
        ("settings.toml", '[[Backends]]\nName = "a"\n', "tomllib.loads"),
    ],
)
def test_a_file_of_another_language_is_told_that_settings_are_json(tmp_path, name, text, reads):
    path = tmp_path / name
    path.write_text(text, "utf8")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value) == (
        f"{path}: a settings file is JSON: convert it, or pass the result of {reads} to Meter.from_settings"
    )
    module, _, function = reads.partition(".")
    assert load(getattr(import_module(module), function)(text)).backends[0].name == "a"
    path.write_text('{"Backends": []}', "utf8")
    assert load(path) == Settings()


@pytest.mark.parametrize("name", ["missing.json", ""])
def test_a_file_that_cannot_be_read(tmp_path, name):
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / name)


def test_a_byte_order_mark_is_no_error(tmp_path):
    path = tmp_path / "settings.json"
    path.write_bytes(b"\xef\xbb\xbf{}")
    assert load(str(path)) == Settings()


def test_variables_come_from_the_environment():
    found = load(
        backend(ApiKey="${KEY}", BaseUrl="https://${HOST}/v1"), {"KEY": "sk-1", "HOST": "example.com"}
    ).backends[0]
    assert found.api_key.get_secret_value() == "sk-1"
    assert found.base_url == "https://example.com/v1"


def test_a_variable_that_is_not_set_is_named():
    with pytest.raises(
        ConfigError, match=re.escape("LlmSettings.Backends[0].BaseUrl: the environment variable HOST is not set")
    ):
        load(backend(BaseUrl="https://${HOST}/v1"), {})


@pytest.mark.parametrize("key", ["ApiKey", "api_key"])
def test_a_key_that_is_not_set_is_none(key):
    assert load(backend(**{key: "${KEY}"}), {}).backends[0].api_key is None


@pytest.mark.parametrize("name", ["${}", "a${", "${A B}", "${HOST}${}"])
def test_braces_without_a_name_give_a_warning(name, caplog):
    load(backend(ModelName=name), {"HOST": "h"})
    (record,) = caplog.records
    assert record.getMessage().startswith("LlmSettings.Backends[0].ModelName has a ${ without a name and a }")


@pytest.mark.parametrize(
    ("text", "environ", "warned"),
    [
        ("$HOST", {}, True),
        ("https://$HOST/v1", {"HOST": "example.com"}, True),
        # a password may have anything in it
        ("https://u:pa$HOST@example.com", {}, False),
        ("https://u:${HOST}@example.com", {"HOST": "a$HOST"}, False),
    ],
)
def test_a_variable_without_braces_gives_a_warning(text, environ, warned, caplog):
    with suppress(ConfigError):
        load(backend(BaseUrl=text), environ)
    says = "LlmSettings.Backends[0].BaseUrl has a $ and a name without braces, and is used unchanged: write ${NAME} for a variable"
    assert [each.getMessage() for each in caplog.records] == ([says] if warned else [])


@pytest.mark.parametrize(
    ("text", "twice"),
    [
        ('{"LlmSettings": {}, "LlmSettings": {}}', "LlmSettings"),
        ('{"LlmSettings": {"Health": {}, "Health": {}}}', "LlmSettings.Health"),
        ('{"Backends": [{"Name": "a", "Name": "b"}]}', "LlmSettings.Backends[0].Name"),
        ('{"Budget": {"Mode": "strict", "Mode": "shadow", "Mode": "strict"}}', "LlmSettings.Budget.Mode"),
    ],
)
def test_a_key_that_a_file_has_twice(tmp_path, text, twice):
    path = tmp_path / "settings.json"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value).removeprefix(f"{path}: ") == f"{twice} is there twice: keep one"


def test_a_key_that_anothers_section_has_twice_is_its_own_matter(tmp_path):
    path = tmp_path / "settings.json"
    path.write_text(
        '{"LlmSettings": {"Memory": {}, "Memory": {}, "Plugins": {"a": 1, "a": 2}}, "Logging": 1, "Logging": 2}'
    )
    assert load(path) == Settings()


@pytest.mark.parametrize(
    ("ledger", "place"),
    [
        ("sqlite:///spend.db", "sqlite:///{}/conf/spend.db"),
        ("sqlite:///../spend.db", "sqlite:///{}/conf/../spend.db"),
        ("sqlite:////var/spend.db", "sqlite:////var/spend.db"),
        ("sqlite:///~/spend.db", "sqlite:///~/spend.db"),
        ("redis://h:6379/0", "redis://h:6379/0"),
        ("memory://", "memory://"),
    ],
)
def test_a_relative_ledger_is_beside_the_settings_file(tmp_path, monkeypatch, ledger, place):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/settings.json").write_text(json.dumps({"Budget": {"Ledger": ledger}}))
    monkeypatch.chdir(tmp_path)
    assert load("conf/settings.json").budget.ledger == place.format(tmp_path)
    # what comes from no file has no directory
    assert load({"Budget": {"Ledger": ledger}}).budget.ledger == ledger


SECRET = "sk-live-4711"


@pytest.mark.parametrize(
    "document",
    [
        backend(ApiKey="${KEY}"),
        backend(ApiKey="${KEY}", MaxSpendUsd=-1),
        backend(ApiKey=["${KEY}"]),
        backend(ModelName=["${KEY}"]),
        backend(BaseUrl="${KEY}"),
        backend(Type="${KEY}"),
        backend(SpendResetTimeZone="${KEY}"),
        backend(MaxSpendUsd="${KEY}"),
        backend(BaseUrl="https://user:${KEY}@example.com/v1"),
        {"Budget": {"Ledger": "redis://:${KEY}@example.com"}},
        {"Backends": [{"Name": "${KEY}", "Type": "OpenAI"}] * 2},
        {"Backends": ["${KEY}"]},
        {"Telemetry": "${KEY}"},
    ],
)
def test_a_secret_is_never_shown(document):
    try:
        shown = repr(load(document, {"KEY": SECRET}))
    except ConfigError as exc:
        shown = "".join(traceback.format_exception(exc)) + repr(exc.__context__) + repr(exc.__cause__)
    assert SECRET not in shown


SECTIONS = (Settings, Telemetry, Health, Budget, Backend)

KEYS = st.sampled_from(
    [
        "LlmSettings",
        "Memory",
        "x",
        *(key for each in SECTIONS for name in each.model_fields for key in (name, pascal(name))),
    ]
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["OpenAI", "${X}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)

# what is right but for the values: it reaches the validators that a random tree seldom does
SHAPED = st.fixed_dictionaries(
    {"Backends": st.lists(st.dictionaries(st.sampled_from([*map(pascal, Backend.model_fields)]), JSON), max_size=2)},
    optional={
        each.__name__: st.dictionaries(st.sampled_from([*map(pascal, each.model_fields)]), JSON)
        for each in (Telemetry, Health, Budget)
    },
)


@given(JSON.filter(lambda value: not isinstance(value, str)) | SHAPED)
def test_any_document_is_settings_or_a_config_error(document):
    with suppress(ConfigError):
        assert isinstance(load(document, {}), Settings)


@given(JSON | SHAPED)
def test_so_is_any_file(tmp_path_factory, document):
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(document))
    with suppress(ConfigError):
        assert isinstance(load(path, {}), Settings)


@pytest.mark.parametrize("content", [b"sk-live-4711 \xff", b"{sk-live-4711", b'{"x": "sk-live-4711"}' + b"1"])
def test_a_file_that_is_no_settings_keeps_its_secret(tmp_path, content):
    path = tmp_path / "settings.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(path)
    exc = caught.value
    shown = repr(exc) + repr(exc.__cause__) + repr(exc.__context__) + repr(vars(exc.__context__ or exc))
    assert SECRET not in shown


def test_json_text_in_place_of_a_path_keeps_its_secret():
    with pytest.raises(ConfigError, match="not JSON text") as caught:
        load('{"Backends": [{"ApiKey": "sk-live-4711"}]}')
    assert SECRET not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_mapping_nested_too_deep():
    deep = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(ConfigError, match="nested too deep"):
        load({"Backends": deep})
