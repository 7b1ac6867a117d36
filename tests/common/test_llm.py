"""A model's answer is whole or it is an error of ours, whatever the server on the other side does."""

import itertools
import json
import logging
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from academy import llm
from academy.egress import UnsafeUrl
from academy.llm import structured
from academy.llm.text import Cleaner, clean
from dev.tutor import completions
from tests.fakes import SSE, USAGE, ScriptedModel

CANARY = "canary-7f3a"
QUESTION: list[llm.Message] = [
    {"role": "system", "content": "You are a tutor."},
    {"role": "user", "content": "Что такое цикл?"},
]

_numbers = itertools.count()


class Module(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: str = Field(min_length=3, max_length=60)
    hours: int = Field(ge=1, le=40)


class Plan(BaseModel):
    modules: list[Module] = Field(min_length=3, max_length=7)
    note: str | None = None


GOOD_PLAN: dict[str, Any] = {
    "modules": [{"title": f"Module {number}", "hours": 2} for number in (1, 2, 3)],
    "note": None,
}


class TestComplete:
    def test_returns_the_whole_answer_and_what_it_cost(self, server: ScriptedModel) -> None:
        server.says("Цикл повторяет ", "действия.")
        model = a_model(server)
        answer = llm.complete(QUESTION, model=model)
        assert answer == llm.Answer("Цикл повторяет действия.", model.name, llm.Usage(30, 12), calls=1)
        assert answer.usage.total == 42

    def test_sends_the_question_with_the_models_own_settings(self, server: ScriptedModel) -> None:
        llm.complete(QUESTION, model=a_model(server, temperature=0.3))
        request = server.requests[0]
        assert request.path == "/v1/chat/completions"
        assert (request.key, request.messages) == ("sk-test", QUESTION)
        assert (request.body["max_tokens"], request.body["temperature"]) == (500, 0.3)

    def test_estimates_the_cost_where_the_server_does_not_say(self, server: ScriptedModel) -> None:
        server.says("One two three four", usage=None)
        usage = llm.complete(QUESTION, model=a_model(server)).usage
        assert usage.prompt_tokens > 0
        assert usage.completion_tokens == llm.estimate_tokens("One two three four")

    @pytest.mark.parametrize("lie", [-1, 10**12, "many", None, 1.5])
    def test_does_not_believe_an_impossible_bill(self, server: ScriptedModel, lie: Any) -> None:
        server.says("Yes", usage={"prompt_tokens": lie, "completion_tokens": lie})
        assert llm.complete(QUESTION, model=a_model(server)).usage.completion_tokens == 1

    def test_works_without_a_key(self, server: ScriptedModel) -> None:
        assert llm.complete(QUESTION, model=a_model(server, api_key="")).content

    def test_d1_refuses_a_persons_private_url_before_it_connects(self, server: ScriptedModel) -> None:
        with pytest.raises(UnsafeUrl):
            llm.complete(QUESTION, model=a_model(server, trusted=False))
        assert server.requests == []

    def test_d4_calls_a_private_server_that_the_operator_allows(self, server: ScriptedModel) -> None:
        model = a_model(server, trusted=False, allowed_private=(server.address,))
        assert llm.complete(QUESTION, model=model).content

    def test_importing_it_loads_neither_openai_nor_an_http_client(self) -> None:
        program = "import sys, academy.llm; print({'openai', 'httpx2'} & set(sys.modules))"
        ran = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONPATH": "layers/common"},
        )
        assert ran.stdout.strip() == "set()"


class TestStream:
    def test_yields_the_words_and_then_the_whole_answer(self, server: ScriptedModel) -> None:
        server.says("One ", "two ", "three")
        *words, answer = llm.stream(QUESTION, model=a_model(server), seconds=5)
        assert words == ["One ", "two ", "three"]
        assert isinstance(answer, llm.Answer)
        assert answer.content == "One two three"

    def test_closing_it_stops_the_model(self, server: ScriptedModel) -> None:
        server.drips("word ", every=0.01)
        words = llm.stream(QUESTION, model=a_model(server), seconds=5)
        assert next(words) == "word "
        words.close()
        assert server.requests[0].hung_up.wait(5)

    def test_e2_an_answer_that_was_cut_off_ends_in_an_error_after_its_words(
        self, server: ScriptedModel
    ) -> None:
        server.says("Half an ", "ans", finish="length")
        words, error = heard(server)
        assert (words, error.code) == ("Half an ans", "ai_bad_output")
        assert error.usage == llm.Usage(30, 12)


class TestE2WhatIsAnAnswer:
    @pytest.mark.parametrize("finish", ["length", "content_filter", "tool_calls", "error"])
    def test_only_a_finish_of_stop_is_an_answer(self, server: ScriptedModel, finish: str) -> None:
        server.says("Some words", finish=finish)
        assert fault_of(server).code == "ai_bad_output"

    def test_a_stream_without_a_finish_is_not_an_answer(self, server: ScriptedModel) -> None:
        server.says("Some words", finish=None)
        assert fault_of(server).code == "ai_unavailable"

    def test_a_refusal_is_not_an_answer(self, server: ScriptedModel) -> None:
        server.declines(CANARY)
        error = fault_of(server)
        assert error.code == "ai_bad_output"
        assert CANARY not in error.detail

    @pytest.mark.parametrize("nothing", ["", " \n"])
    def test_nothing_is_not_an_answer(self, server: ScriptedModel, nothing: str) -> None:
        server.says(nothing)
        assert fault_of(server).code == "ai_bad_output"

    def test_an_answer_is_whole_although_the_connection_breaks_after_its_end(
        self, server: ScriptedModel
    ) -> None:
        chunks = [completions.chunk("m", {"content": "Whole"}), completions.chunk("m", {}, "stop")]
        server.sends(b"".join(map(completions.event, chunks)) + b"data: {broken\n\n")
        assert llm.complete(QUESTION, model=a_model(server)).content == "Whole"


BAD_PLANS: dict[str, Callable[[ScriptedModel], None]] = {
    "prose": lambda server: server.says("I would rather talk about it."),
    "truncated": lambda server: server.says(json.dumps(GOOD_PLAN)[:-20]),
    "cut off": lambda server: server.says(json.dumps(GOOD_PLAN)[:-20], finish="length"),
    "two modules": lambda server: server.says_json({"modules": GOOD_PLAN["modules"][:2]}),
    "500 modules": lambda server: server.says_json({"modules": [{"title": "Loops", "hours": 2}] * 500}),
    "null fields": lambda server: server.says_json({"modules": [{"title": None, "hours": None}] * 3}),
    "wrong types": lambda server: server.says_json({"modules": "three of them"}),
    "extra fields": lambda server: server.says_json(
        {"modules": [{"title": "Loops", "hours": 2, "owner": "me"}] * 3}
    ),
    "a list": lambda server: server.says_json([1, 2, 3]),
    "infinity": lambda server: server.says('{"modules": [{"title": "Loops", "hours": 1e999}]}'),
    "not a number": lambda server: server.says('{"modules": NaN}'),
    "a long number": lambda server: server.says('{"modules": ' + "9" * 5_000 + "}"),
    "deep nesting": lambda server: server.says('{"a":' * 5_000),
    "a deep list": lambda server: server.says('{"modules": ' + "[" * 5_000),
}


class TestE2CompleteInto:
    def test_asks_for_the_schema_and_returns_the_type(self, server: ScriptedModel) -> None:
        server.says_json(GOOD_PLAN)
        answer = llm.complete_into(QUESTION, Plan, model=a_model(server))
        assert answer.content == Plan.model_validate(GOOD_PLAN)
        form = server.requests[0].body["response_format"]
        assert (form["type"], form["json_schema"]["strict"]) == ("json_schema", True)

    @pytest.mark.parametrize("bad", BAD_PLANS.values(), ids=BAD_PLANS)
    def test_a_bad_answer_is_repaired_by_asking_once_more(
        self, server: ScriptedModel, bad: Callable[[ScriptedModel], None]
    ) -> None:
        bad(server)
        server.says_json(GOOD_PLAN)
        answer = llm.complete_into(QUESTION, Plan, model=a_model(server))
        assert (answer.calls, answer.usage) == (2, llm.Usage(60, 24))

    @pytest.mark.parametrize("bad", BAD_PLANS.values(), ids=BAD_PLANS)
    def test_two_bad_answers_are_an_error(
        self, server: ScriptedModel, bad: Callable[[ScriptedModel], None]
    ) -> None:
        bad(server)
        bad(server)
        with pytest.raises(llm.BadOutput) as failed:
            llm.complete_into(QUESTION, Plan, model=a_model(server))
        assert (failed.value.calls, failed.value.usage) == (2, llm.Usage(60, 24))
        assert len(server.requests) == 2

    def test_the_correction_names_what_was_wrong_and_keeps_the_instructions(
        self, server: ScriptedModel
    ) -> None:
        server.says_json({"modules": [{"title": "Loops", "hours": 99}] * 3})
        llm.complete_into(QUESTION, Plan, model=a_model(server))
        *asked, answered, correction = server.requests[1].messages
        assert asked == QUESTION
        assert (answered["role"], correction["role"]) == ("assistant", "user")
        assert "modules.0.hours" in correction["content"]

    @pytest.mark.parametrize(
        "wrapping",
        [
            "```json\n{}\n```",
            "Here it is:\n\n{}\n\nGood luck!",
            "<think>{{a}}</think>{}",
            '{{"a": 1}} or: {}',
        ],
    )
    def test_finds_json_in_its_wrapping(self, server: ScriptedModel, wrapping: str) -> None:
        server.says(wrapping.format(json.dumps(GOOD_PLAN, indent=2)))
        assert llm.complete_into(QUESTION, Plan, model=a_model(server)).calls == 1

    def test_cleans_what_an_escape_would_smuggle_in(self, server: ScriptedModel) -> None:
        smuggled = json.dumps(GOOD_PLAN | {"note": "a\0b\ud83d"})
        server.says(smuggled)
        answer = llm.complete_into(QUESTION, Plan, model=a_model(server))
        assert answer.content.note == "a\ufffdb\ufffd"

    def test_a_refusal_is_not_asked_about_again(self, server: ScriptedModel) -> None:
        server.declines()
        with pytest.raises(llm.BadOutput):
            llm.complete_into(QUESTION, Plan, model=a_model(server))
        assert len(server.requests) == 1

    def test_a_fault_at_the_second_ask_still_tells_what_the_first_one_cost(
        self, server: ScriptedModel
    ) -> None:
        server.says("No JSON at all")
        server.fails(401)
        with pytest.raises(llm.KeyRejected) as failed:
            llm.complete_into(QUESTION, Plan, model=a_model(server))
        assert (failed.value.calls, failed.value.usage) == (1, llm.Usage(30, 12))

    def test_both_asks_share_one_deadline(self, server: ScriptedModel) -> None:
        server.says("No JSON at all")
        server.keeps_silent()
        with pytest.raises(llm.ModelTimeout):
            llm.complete_into(QUESTION, Plan, model=a_model(server), seconds=0.3)

    def test_the_schema_is_strict_and_says_its_lengths_in_words(self) -> None:
        module = structured.strict_schema(Plan.model_json_schema())["$defs"]["Module"]
        assert (module["required"], module["additionalProperties"]) == (["title", "hours"], False)
        assert module["properties"]["title"] == {
            "description": "Length: at least 3 and at most 60 characters.",
            "type": "string",
        }


class TestDialects:
    @pytest.mark.parametrize("refused", ["max_tokens", "temperature", "stream_options", "stream"])
    def test_a_parameter_that_a_model_refuses_is_given_up_and_remembered(
        self, server: ScriptedModel, refused: str
    ) -> None:
        server.refuses(refused)
        model = a_model(server, temperature=0.5)
        assert llm.complete(QUESTION, model=model).content
        assert llm.complete(QUESTION, model=model).content
        assert [refused in request.body for request in server.requests] == [True, False, False]

    def test_a_new_name_is_tried_for_a_refused_max_tokens(self, server: ScriptedModel) -> None:
        server.refuses("max_tokens")
        llm.complete(QUESTION, model=a_model(server))
        assert server.requests[1].body["max_completion_tokens"] == 500

    def test_a_server_that_refuses_everything_is_asked_in_the_plainest_words(
        self, server: ScriptedModel
    ) -> None:
        server.refuses(
            *("max_tokens", "max_completion_tokens", "temperature", "stream", "stream_options"),
            "response_format",
        )
        server.says_json(GOOD_PLAN)
        model = a_model(server, temperature=0.5)
        assert llm.complete_into(QUESTION, Plan, model=model).calls == 1
        assert set(server.requests[-1].body) == {"model", "messages"}

    def test_without_json_schema_the_schema_joins_the_instructions(self, server: ScriptedModel) -> None:
        server.fails(400, body={"error": {"message": "json_schema is not supported here"}})
        server.says_json(GOOD_PLAN)
        llm.complete_into(QUESTION, Plan, model=a_model(server))
        again = server.requests[1]
        assert again.body["response_format"] == {"type": "json_object"}
        assert [message["role"] for message in again.messages] == ["system", "user"]
        assert again.messages[0]["content"].startswith("You are a tutor.\n\nAnswer with one JSON object")

    def test_a_validation_errors_location_names_the_parameter_too(self, server: ScriptedModel) -> None:
        detail = [{"loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]
        server.fails(422, body={"detail": detail})
        assert llm.complete(QUESTION, model=a_model(server)).content

    def test_a_server_that_does_not_stream_is_heard_all_the_same(self, server: ScriptedModel) -> None:
        whole = completions.completion("m", "In one piece", USAGE)
        server.sends(json.dumps(whole).encode(), content_type="application/json; charset=utf-8")
        answer = llm.complete(QUESTION, model=a_model(server))
        assert (answer.content, answer.usage) == ("In one piece", llm.Usage(30, 12))

    def test_a_refusal_that_names_no_parameter_is_an_error(self, server: ScriptedModel) -> None:
        server.fails(400, body={"error": {"message": "An upstream problem"}})
        assert fault_of(server).code == "ai_unavailable"
        assert len(server.requests) == 1


class TestE3Faults:
    """F6-F9 in short: each fault is one of our errors, and asking again works."""

    @pytest.mark.parametrize(
        ("status", "code", "answered"),
        [
            (429, "ai_rate_limited", 503),
            (500, "ai_unavailable", 502),
            (503, "ai_unavailable", 502),
            (529, "ai_unavailable", 502),
            (400, "ai_unavailable", 502),
            (404, "ai_unavailable", 502),
            (413, "ai_unavailable", 502),
            (401, "ai_key_rejected", 424),
            (402, "ai_key_rejected", 424),
            (403, "ai_key_rejected", 424),
        ],
    )
    def test_f6_a_status_becomes_our_error_and_asking_again_works(
        self, server: ScriptedModel, status: int, code: str, answered: int
    ) -> None:
        server.fails(status, times=2)
        error = fault_of(server)
        assert (error.code, error.status, error.usage.total) == (code, answered, 0)
        server.reset()
        assert llm.complete(QUESTION, model=a_model(server)).content

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    def test_a_passing_fault_is_retried_once(self, server: ScriptedModel, status: int) -> None:
        server.fails(status)
        pauses: list[float] = []
        assert llm.complete(QUESTION, model=a_model(server), pause=pauses.append).content
        assert len(server.requests) == 2
        assert len(pauses) == 1

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
    def test_a_lasting_fault_is_not_retried(self, server: ScriptedModel, status: int) -> None:
        server.fails(status)
        fault_of(server)
        assert len(server.requests) == 1

    def test_a_short_retry_after_is_honoured(self, server: ScriptedModel) -> None:
        server.fails(429, retry_after=3)
        pauses: list[float] = []
        llm.complete(QUESTION, model=a_model(server), pause=pauses.append)
        assert pauses == [3]

    def test_a_long_retry_after_is_passed_on(self, server: ScriptedModel) -> None:
        server.fails(429, retry_after=30)
        error = fault_of(server)
        assert isinstance(error, llm.ModelRateLimited)
        assert (error.retry_after, error.headers) == (30, {"Retry-After": "30"})
        assert len(server.requests) == 1

    @pytest.mark.parametrize(("sent", "told"), [(10**8, 3600), (0, 10), (None, 10)])
    def test_a_retry_after_stays_within_reason(
        self, server: ScriptedModel, sent: float | None, told: int
    ) -> None:
        server.fails(429, retry_after=sent, times=2)
        assert fault_of(server).headers["Retry-After"] == str(told)

    def test_no_pause_reaches_past_the_deadline(self, server: ScriptedModel) -> None:
        server.fails(429, retry_after=4)
        pauses: list[float] = []
        with pytest.raises(llm.ModelRateLimited):
            llm.complete(QUESTION, model=a_model(server), seconds=3, pause=pauses.append)
        assert pauses == []

    def test_f7_a_refused_connection_is_retried_and_told(self, server: ScriptedModel) -> None:
        with ScriptedModel() as gone:
            model = a_model(gone)
        pauses: list[float] = []
        with pytest.raises(llm.ModelUnavailable) as failed:
            llm.complete(QUESTION, model=model, pause=pauses.append)
        assert "cannot be reached" in failed.value.detail
        assert len(pauses) == 1

    @pytest.mark.parametrize(
        "waits",
        [
            ScriptedModel.keeps_silent,
            lambda server: server.keeps_silent(after_headers=True),
            lambda server: server.drips(every=0.02),
        ],
        ids=["silence", "headers and silence", "drip"],
    )
    def test_f7_waiting_ends_at_the_deadline(
        self, server: ScriptedModel, waits: Callable[[ScriptedModel], None]
    ) -> None:
        waits(server)
        error = fault_of(server, seconds=0.2)
        assert (error.code, error.status) == ("ai_timeout", 504)

    @pytest.mark.parametrize("how", ["reset", "close", "no_done"])
    def test_f8_a_stream_cut_after_any_word_is_never_whole(self, server: ScriptedModel, how: Any) -> None:
        for count in range(21):
            server.cuts(*["word "] * count, how=how)
            words, error = heard(server)
            assert error.code == "ai_unavailable"
            # An RST may overtake words that were under way.
            assert words == "word " * count or (how == "reset" and ("word " * count).startswith(words))

    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            (b"data: {not json}\n\n", SSE),
            (b"data: 5\n\n", SSE),
            (b"data: []\n\n", SSE),
            (b'data: "text"\n\n', SSE),
            (b"data: null\n\n", SSE),
            (b"data: " + b"[" * 5_000 + b"\n\n", SSE),
            (b"data: " + b"9" * 5_000 + b"\n\n", SSE),
            (b"data: \xff\xfe\n\n", SSE),
            (b'data: {"choices": []}\n\ndata: [DONE]\n\n', SSE),
            (b'data: {"choices": {}}\n\ndata: [DONE]\n\n', SSE),
            (b'data: {"choices": [{"delta": {"content": ["x"]}, "finish_reason": "stop"}]}\n\n', SSE),
            (b'data: {"choices": [{"delta": "x", "finish_reason": null}]}\n\n', SSE),
            (b'data: {"choices": [5]}\n\n', SSE),
            (b'data: {"error": {"message": "canary-7f3a", "code": 500}}\n\n', SSE),
            (b'event: error\ndata: {"error": "canary-7f3a"}\n\n', SSE),
            (b"", SSE),
            (b"data: [DONE]\n\n", SSE),
            (b"<html>canary-7f3a</html>", "text/html"),
            (b"<html>canary-7f3a</html>", "application/json"),
            (b'{"choices": []}', "application/json"),
            (b'{"error": {"message": "canary-7f3a"}}', "application/json"),
            (b'"canary-7f3a"', "application/json"),
            (b"[" * 5_000, "application/json"),
            (b"data: " + b"x" * 5_000_000 + b"\n\n", SSE),
        ],
    )
    def test_f9_garbage_is_no_answer_and_none_of_it_is_repeated(
        self, server: ScriptedModel, body: bytes, kind: str
    ) -> None:
        server.sends(body, content_type=kind)
        error = fault_of(server)
        assert (error.code, error.status) == ("ai_unavailable", 502)
        assert CANARY not in "".join(traceback.format_exception(error))

    def test_f9_text_without_end_is_given_up(self, server: ScriptedModel) -> None:
        server.says("x" * 3_000_000)
        assert fault_of(server).code == "ai_unavailable"
        assert fault_of_reply(server, "x" * 3_000_000, max_tokens=100_000).code == "ai_unavailable"

    @pytest.mark.parametrize("status", [301, 307, 308])
    def test_d3_a_redirect_is_not_followed(self, server: ScriptedModel, status: int) -> None:
        with ScriptedModel() as elsewhere:
            server.redirects(elsewhere.base_url, status)
            error = fault_of(server)
            assert (error.code, elsewhere.requests) == ("ai_unavailable", [])


class TestSecrets:
    """D5, D6, D8: nothing of theirs comes out, nothing of ours goes where it should not."""

    @pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
    def test_d5_neither_error_nor_log_repeats_what_a_server_wrote(
        self,
        server: ScriptedModel,
        status: int,
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        caplog.set_level(logging.DEBUG)
        server.fails(status, body={"error": {"message": CANARY, "code": CANARY}}, times=2)
        error = fault_of(server)
        told = [*traceback.format_exception(error), caplog.text, *capfd.readouterr(), str(error.headers)]
        assert CANARY not in "".join(told)

    def test_d8_no_log_holds_the_key_the_question_or_the_answer(
        self, server: ScriptedModel, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> None:
        caplog.set_level(logging.DEBUG)
        server.says("secret answer")
        llm.complete(
            [{"role": "user", "content": "secret question"}], model=a_model(server, api_key="secret")
        )
        assert "secret" not in "".join([caplog.text, *capfd.readouterr()])

    def test_d8_a_model_does_not_show_its_key(self, server: ScriptedModel) -> None:
        assert "sk-test" not in repr(a_model(server))

    def test_d6_the_environments_own_keys_and_headers_stay_at_home(
        self, server: ScriptedModel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
            monkeypatch.setenv(name, CANARY)
        monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"Authorization: Bearer {CANARY}\nX-Own: {CANARY}")
        monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
        llm.complete(QUESTION, model=a_model(server))
        llm.complete(QUESTION, model=a_model(server, api_key=""))
        assert CANARY not in str([request.headers for request in server.requests])
        assert server.requests[0].key == "sk-test"

    @pytest.mark.parametrize("key", ["ключ", "two\nlines", "sk-\0"])
    def test_a_key_that_no_header_can_carry_is_refused_unsent(self, server: ScriptedModel, key: str) -> None:
        with pytest.raises(llm.KeyRejected):
            llm.complete(QUESTION, model=a_model(server, api_key=key))
        assert server.requests == []


class TestText:
    @pytest.mark.parametrize(
        ("dirty", "kept"),
        [
            ("a\0b", "a\ufffdb"),
            ("half \ud83d", "half \ufffd"),
            ("\ude00 half", "\ufffd half"),
            ("\ud83d\ude00", "😀"),
            ("\ude00\ud83d", "\ufffd\ufffd"),
            ("Ёж 😀 שלום e\u0301 \u202e", "Ёж 😀 שלום e\u0301 \u202e"),
        ],
    )
    def test_f9_text_is_kept_and_only_the_impossible_replaced(self, dirty: str, kept: str) -> None:
        assert clean(dirty) == kept

    def test_an_emoji_that_arrives_in_halves_is_whole(self, server: ScriptedModel) -> None:
        server.says("Hi \ud83d", "\ude00!")
        *words, answer = llm.stream(QUESTION, model=a_model(server), seconds=5)
        assert words == ["Hi ", "😀!"]
        assert isinstance(answer, llm.Answer)
        assert answer.content == "Hi 😀!"

    def test_a_half_that_stays_alone_is_replaced_at_the_end(self, server: ScriptedModel) -> None:
        server.says("Hi \ud83d")
        assert llm.complete(QUESTION, model=a_model(server)).content == "Hi \ufffd"

    def test_pieces_are_cleaned_as_their_whole_would_be(self) -> None:
        text = "a\0😀\ud83db\ude00\ud83d"
        cleaner = Cleaner()
        assert "".join(map(cleaner.feed, text)) + cleaner.finish() == clean(text)

    @pytest.mark.parametrize(
        ("text", "tokens"), [("", 0), ("word", 1), ("words", 2), ("слово", 3), ("\ud83d", 1)]
    )
    def test_tokens_are_estimated_from_bytes(self, text: str, tokens: int) -> None:
        assert llm.estimate_tokens(text) == tokens


@pytest.fixture
def server() -> Iterator[ScriptedModel]:
    with ScriptedModel() as scripted:
        yield scripted


def a_model(server: ScriptedModel, **changes: Any) -> llm.Model:
    """A model of its own, so that no test inherits what another has learnt about it."""
    settings = {"api_key": "sk-test", "max_tokens": 500, "trusted": True, **changes}
    return llm.Model(name=f"model-{next(_numbers)}", base_url=server.base_url, **settings)


def fault_of(server: ScriptedModel, seconds: float = 5, **changes: Any) -> llm.ModelError:
    with pytest.raises(llm.ModelError) as failed:
        llm.complete(QUESTION, model=a_model(server, **changes), seconds=seconds, pause=at_once)
    return failed.value


def fault_of_reply(server: ScriptedModel, text: str, **changes: Any) -> llm.ModelError:
    server.says(text)
    return fault_of(server, **changes)


def heard(server: ScriptedModel) -> tuple[str, llm.ModelError]:
    """The words that came before the error, and the error."""
    words: list[str] = []
    streamed = llm.stream(QUESTION, model=a_model(server), seconds=5, pause=at_once)
    with pytest.raises(llm.ModelError) as failed:
        words.extend(str(word) for word in streamed)
    return "".join(words), failed.value


def at_once(seconds: float) -> None:
    """A pause that takes no time."""
