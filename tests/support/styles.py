"""A suite that mocks the same application in seven styles, and the changes that make its LLM calls dearer."""

from __future__ import annotations

APP = '''
import datetime, pathlib
import httpx

change = pathlib.Path(__file__).with_name("change.txt").read_text().strip()
HOSTS = {"openai": "https://api.openai.com", "anthropic": "https://api.anthropic.com"}
PARAMETERS = {"type": "object", "properties": {"q": {"type": "string", "description": "What to look for."}}}

RULES = "Answer in one short sentence. Name no price that is not in the catalogue, and promise nothing. " * 80
if change == "longer system prompt":
    RULES += "Do not name the author, and keep every number as it is. " * 10
if change == "longer tool schema":
    for n in range(8):
        PARAMETERS["properties"][f"filter_{n}"] = {"type": "string", "description": "Leave out what has this tag."}


def system():
    # microseconds: two calls never have the same
    now = f"It is {datetime.datetime.now().isoformat()}. " if change == "timestamp in the prefix" else ""
    return now + RULES


def ask(client, question, base=HOSTS):
    cached = {} if change == "lost cache mark" else {"cache_control": {"type": "ephemeral"}}
    provider = "openai" if change == "swapped provider" else "anthropic"
    model = {"openai": "gpt-4o", "anthropic": "claude-sonnet-4-5"}[provider]
    if change == "dearer model":
        model = "claude-opus-4-1"
    body = {"model": model, "messages": [{"role": "user", "content": question}]}
    if change != "removed output limit":
        body["max_tokens"] = 300
    if provider == "anthropic":
        body["system"] = [{"type": "text", "text": system(), **cached}]
        body["tools"] = [{"name": "search", "description": "Search the shelf.", "input_schema": PARAMETERS}]
        return client.post(base[provider] + "/v1/messages", json=body)
    body["messages"].insert(0, {"role": "system", "content": system()})
    return client.post(base[provider] + "/v1/chat/completions", json=body)


def answer(client, base=HOSTS):
    """Answer a customer, with the tool's results in between."""
    for n in range(3 if change == "tool loop 1 to 3" else 1):
        ask(client, f"Which book is on the shelf? {n}", base).raise_for_status()
    ask(client, "And in one word?", base).raise_for_status()
    if change == "second call":
        ask(client, "Are you sure?", base).raise_for_status()


def limited(client, base=HOSTS):
    """Ask a provider that refuses."""
    for _ in range(2 if change == "extra retry" else 1):
        done = ask(client, "limited", base)
    return done.status_code
'''

MOCKS = """
import json, httpx

USAGE = {"input_tokens": 900, "output_tokens": 9}
BODY = {"model": "claude-sonnet-4-5", "content": [{"type": "text", "text": "Hi"}], "usage": USAGE}
LIMITED = {"error": {"type": "rate_limit_error"}}

def fixed(request):
    if b"limited" in request.content:
        return httpx.Response(429, json=LIMITED)
    if "completions" in request.url.path:
        usage = {"prompt_tokens": 900, "completion_tokens": 9}
        return httpx.Response(200, json={"model": "gpt-4o", "choices": [], "usage": usage})
    return httpx.Response(200, json=BODY)

def dynamic(request):
    answer = fixed(request)
    if answer.status_code != 200:
        return answer
    body = json.loads(answer.content)
    name = "input_tokens" if "input_tokens" in body["usage"] else "prompt_tokens"
    body["usage"][name] = len(request.content) // 4
    return httpx.Response(200, json={**body, "model": json.loads(request.content)["model"]})
"""

_BOTH = """
def test_answer{n}({fixtures}):
    {before}app.answer(httpx.Client({transport}))
def test_limited{n}({fixtures}):
    {before}assert app.limited(httpx.Client({transport})) == 429
"""


def _suite(head: str = "", fixtures: str = "", before: str = "", transport: str = "") -> str:
    body = _BOTH.format(n="", fixtures=fixtures, before=before, transport=transport)
    return f"import httpx, pytest\nimport app, mocks\n{head}{body}"


_RECORDED = """
import pathlib
BASE = dict.fromkeys(app.HOSTS, pathlib.Path("url.txt").read_text())

def test_answer():
    with {recorder}, httpx.Client() as client:
        app.answer(client, BASE)
def test_limited():
    with {recorder_limited}, httpx.Client() as client:
        assert app.limited(client, BASE) == 429
"""


def _recorded(module: str, template: str) -> str:
    calls = {name: template.format(name=name) for name in ("answer", "limited")}
    body = _RECORDED.format(recorder=calls["answer"], recorder_limited=calls["limited"])
    return f"import httpx, {module}\nimport app\n{body}"


STYLES = {
    "MockTransport, dynamic": _suite(transport="transport=httpx.MockTransport(mocks.dynamic)"),
    "MockTransport, fixed": _suite(transport="transport=httpx.MockTransport(mocks.fixed)"),
    "vcrpy": _recorded(
        "vcr", "vcr.use_cassette('vcr_{name}.yaml', allow_playback_repeats=True, record_mode=app.recording)"
    ),
    "cassetter": _recorded("cassetter", "cassetter.use_cassette('cassetter_{name}.yaml', record_mode=app.recording)"),
    "pytest-httpx": _suite(
        head="pytestmark = pytest.mark.httpx_mock(assert_all_responses_were_requested=False)\n",
        fixtures="httpx_mock",
        before="httpx_mock.add_callback(mocks.fixed, is_reusable=True)\n    ",
    ),
    "respx": _suite(
        head="import respx\n",
        fixtures="respx_mock",
        before="respx_mock.route().mock(side_effect=mocks.fixed)\n    ",
    ),
    "llm_provider": """
import httpx, pytest
import app
from llmmetrics.testing import faults

lenient = pytest.mark.llm_provider(assert_all_requested=False)
@lenient
def test_answer(llm_provider):
    for _ in range(9):
        llm_provider.reply("Hi", prompt_tokens=900, completion_tokens=9)
    app.answer(httpx.Client())
@lenient
def test_limited(llm_provider):
    for _ in range(9):
        llm_provider.fail(faults.RATE_LIMIT)
    assert app.limited(httpx.Client()) == 429
""",
}

CHANGES = {
    "longer system prompt": "system +",
    "longer tool schema": 'tool "search": schema +',
    "dearer model": "model asked claude-sonnet-4-5 → claude-opus-4-1",
    "removed output limit": "max_tokens 300 → none",
    "lost cache mark": "cache",
    "timestamp in the prefix": "differs at character",
    "extra retry": "attempts per call 1.00 → 2.00",
    "tool loop 1 to 3": "calls 2 → 4",
    "second call": "calls 2 → 3",
    "swapped provider": "model asked claude-sonnet-4-5 → gpt-4o",
}
"""Each change, and the words by which its cause is known."""


def file_of(style: str) -> str:
    return f"test_{style.replace(', ', '_').replace('-', '_').replace(' ', '_').lower()}.py"
