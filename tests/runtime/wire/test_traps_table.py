"""For each row of the corpus's table of traps the tests that know it: none is without, and no row is missing here."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from support import shared

TRAPS = {
    "Anthropic: cache reads and writes are outside": ["test_anthropic_cache_stands_outside_the_input"],
    "Anthropic stream: `message_delta` has output only": [
        "test_anthropic_message_delta_is_merged_with_message_start_and_the_later_wins"
    ],
    "Anthropic: `usage.iterations`": [
        "test_anthropic_passes_are_missing_from_the_top_level_and_each_has_its_models_price",
        "test_anthropic_compaction_counts_too",
    ],
    "Anthropic: each web search adds $0.01": ["test_anthropic_web_searches_cost_a_cent_each"],
    "Gemini: `thoughtsTokenCount` is outside": ["test_gemini_thoughts_and_tool_prompts_stand_beside_the_other_counts"],
    "Gemini: counts absent": ["test_gemini_counts_that_are_not_there"],
    "Gemini stream: a JSON array": ["test_gemini_streams_in_any_framing_and_the_last_prompt_count_holds"],
    "Gemini: audio, image and video tokens": [
        "test_gemini_modalities_have_prices_of_their_own_and_may_be_integers",
        "test_gemini_images_and_films_in_and_images_out",
    ],
    "Gemini: its OpenAI endpoint": [
        "test_gemini_at_its_openai_endpoint_shows_thinking_in_the_total_only",
        "test_gemini_that_thought_until_it_was_cut_says_so_in_the_total_only",
        "test_gemini_interactions_have_names_of_their_own",
    ],
    "OpenAI chat stream: no usage at all": [
        "test_openai_a_stream_without_usage_says_none",
        "test_openai_a_stream_that_was_asked_for_its_usage_may_say_none",
    ],
    "OpenAI chat stream: the final chunk": ["test_openai_streamed_usage_wherever_it_stands"],
    "OpenAI Responses: 200 with `usage: null`": ["test_openai_a_response_that_is_not_done"],
    "OpenAI completions: usage without": ["test_openai_completions_whose_usage_has_no_completion"],
    "Azure OpenAI: the URL names a deployment": [
        "test_azures_url_names_a_deployment_and_only_the_answer_the_model",
        "test_azures_extensions_name_the_deployment_too",
    ],
    "Cohere: `usage.tokens` against `billed_units`": [
        "test_cohere_counts_tokens_and_bills_units",
        "test_cohere_streams_in_lines_and_events",
    ],
    "Mistral: `num_cached_tokens` at top level": ["test_mistrals_cache_and_audio"],
    "Bedrock: binary event streams": [
        "test_bedrock_streams_in_binary_and_its_cache_stands_outside_the_input",
        "test_bedrock_invoke_frames_hold_base64_of_the_models_own_events",
        "test_bedrock_counts_stand_in_bodies_or_in_headers_only",
        "test_bedrock_names_the_model_percent_encoded_or_by_an_arn",
    ],
    "Ollama: `prompt_eval_count` absent": ["test_ollama_leaves_out_a_prompt_that_it_had_cached"],
    "any: the model that answers": ["test_the_model_that_answers_is_not_the_one_asked_for"],
    "any: an error inside HTTP 200": ["test_an_error_inside_a_200", "test_bedrocks_error_inside_a_stream"],
    "errors: a bad Google or xAI key": ["test_errors_are_objects_strings_plain_text_or_nothing"],
    "cost: OpenRouter, xAI and gateways": ["test_the_wires_own_cost_is_preferred_unless_it_is_nothing"],
}


@pytest.mark.parametrize("row", TRAPS)
def test_each_trap_has_tests(row):
    written = {
        node.name
        for path in Path(__file__).parent.glob("test_traps*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf8")))
        if isinstance(node, ast.FunctionDef)
    }
    assert written.issuperset(TRAPS[row])


def test_each_row_of_the_table_is_a_trap_here():
    text = shared("corpus/README.md").read_text(encoding="utf8")
    lines = text.partition("## Where a naive reader goes wrong")[2].splitlines()
    rows = [": ".join(map(str.strip, line.split("|")[1:3])) for line in lines if line.startswith("| ")]
    # the first is the heading
    for row in rows[1:]:
        assert [known for known in TRAPS if row.startswith(known)], row
    assert len(rows) - 1 == len(TRAPS)
