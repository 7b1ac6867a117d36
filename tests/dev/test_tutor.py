"""The offline tutor: every flow of the platform works without a key, in the language of the person."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from typing import Any, Literal
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from pydantic import BaseModel, Field, TypeAdapter

from academy import llm
from dev.tutor import tutor
from dev.tutor.schema import Author, instance

FACTS = {
    "skill_area": "FastAPI",
    "user_expectations": "I want to write an API",
    "difficulty_level": "beginner",
    "duration_hours": 20,
}


class Module(BaseModel):
    title: str = Field(min_length=1, max_length=255)
    description: str = Field(min_length=1, max_length=4_000)
    duration_hours: int = Field(ge=1, le=1_000)
    topics: list[str] = Field(min_length=1, max_length=12)


class Plan(BaseModel):
    title: str
    goals: list[str]
    modules: list[Module] = Field(min_length=3, max_length=7)
    final_project: str


class Lesson(BaseModel):
    """A bit of everything that a schema can ask for."""

    kind: Literal["theory", "practice"]
    version: Literal[3]
    short: str = Field(max_length=4)
    long: str = Field(min_length=300, max_length=310)
    few: list[int] = Field(max_length=2)
    many: list[float] = Field(min_length=9)
    pair: tuple[str, int]
    nested: dict[str, str]
    maybe: Module | None
    share: float = Field(gt=0, lt=1)
    more: float = Field(ge=3)
    less: float = Field(lt=0)
    score: int = Field(ge=50, le=60)
    even: int = Field(multiple_of=2, ge=2)
    done: bool
    nothing: None


class TestConversation:
    def test_greets_with_a_first_plan_and_says_that_it_is_a_demo(self, model: llm.Model) -> None:
        said = llm.complete(ask(FACTS), model=model).content
        assert said.startswith("## FastAPI")
        assert "demo tutor" in said
        assert "20 hours" in said
        assert "4. " in said

    def test_answers_the_question_about_the_topic(self, model: llm.Model) -> None:
        said = llm.complete(ask(FACTS | {"module": "Routing"}, "What is ASGI?"), model=model).content
        assert "What is ASGI?" in said
        assert "FastAPI — Routing" in said

    @pytest.mark.parametrize(
        ("facts", "words"),
        [
            (FACTS | {"user_expectations": "Хочу писать API"}, ()),
            (FACTS, ("Что такое ASGI и Starlette?",)),
            ({}, ("привет",)),
        ],
    )
    def test_speaks_russian_to_who_writes_russian(
        self, model: llm.Model, facts: dict[str, Any], words: tuple[str, ...]
    ) -> None:
        assert "демо-наставник" in llm.complete(ask(facts, *words), model=model).content

    def test_the_latest_words_choose_the_language(self, model: llm.Model) -> None:
        question = ask(FACTS | {"user_expectations": "Хочу писать API"}, "Привет", "In English, please")
        assert "demo tutor" in llm.complete(question, model=model).content

    def test_streams_word_by_word(self, model: llm.Model) -> None:
        *words, answer = llm.stream(ask(FACTS), model=model, seconds=5)
        assert isinstance(answer, llm.Answer)
        assert len(words) == len(answer.content.split())
        assert "".join(map(str, words)) == answer.content
        assert answer.usage.prompt_tokens > 0
        assert answer.usage.completion_tokens > 0

    def test_a_message_of_json_is_words_once_the_facts_are_told(self, model: llm.Model) -> None:
        assert '{"a": 1}' in llm.complete(ask(FACTS, '{"a": 1}'), model=model).content


class TestStructuredOutput:
    def test_plans_a_course_that_fits_the_schema_and_the_topic(self, model: llm.Model) -> None:
        answer = llm.complete_into(ask(FACTS), Plan, model=model)
        plan = answer.content
        assert answer.calls == 1
        assert plan.title == "FastAPI"
        assert len({module.title for module in plan.modules}) == len(plan.modules)
        assert sum(module.duration_hours for module in plan.modules) == 20
        assert "demo tutor" in plan.modules[0].description

    def test_plans_in_russian_for_who_writes_russian(self, model: llm.Model) -> None:
        plan = llm.complete_into(ask(FACTS, "Составь план"), Plan, model=model).content
        assert plan.modules[0].title == "FastAPI: первые шаги"

    def test_fills_in_every_kind_of_schema(self) -> None:
        shape = TypeAdapter(Lesson)
        filled = instance(shape.json_schema(), Author(text=" ".join))
        shape.validate_json(json.dumps(filled), strict=True)


class TestProtocol:
    def test_answers_whole_where_no_stream_is_wanted(self, url: str) -> None:
        reply = call(url, "/chat/completions", {"model": "any", "messages": ask(FACTS)})
        assert reply["object"] == "chat.completion"
        assert reply["choices"][0]["finish_reason"] == "stop"
        assert reply["usage"]["total_tokens"] > 0

    def test_lists_its_model(self, url: str) -> None:
        assert [model["id"] for model in call(url, "/models")["data"]] == ["demo-tutor"]

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"messages": 5}', b'{"messages": [5]}'])
    def test_refuses_what_is_no_request(self, url: str, body: bytes) -> None:
        with pytest.raises(HTTPError) as refused:
            call(url, "/chat/completions", body)
        refused.value.close()
        assert refused.value.code == 400

    def test_knows_no_other_path(self, url: str) -> None:
        with pytest.raises(HTTPError) as refused:
            call(url, "/embeddings", b"{}")
        refused.value.close()
        assert refused.value.code == 404


class TestProgram:
    def test_ends_when_its_parent_does(self) -> None:
        with program("--port", "0", "--exit-with-parent") as running:
            assert running.stdout is not None
            assert b"The demo tutor answers on http://127.0.0.1:" in running.stdout.readline()
            assert running.stdin is not None
            running.stdin.close()
            assert running.wait(timeout=10) == 0

    def test_says_in_a_sentence_that_its_port_is_taken(self, server: ThreadingHTTPServer) -> None:
        with program("--port", str(server.server_port)) as running:
            assert running.stderr is not None
            told = running.stderr.read().decode()
            assert running.wait(timeout=10) == 1
        assert told.startswith(f"Port {server.server_port} is taken")
        assert "Traceback" not in told


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadingHTTPServer]:
    with tutor(seconds_per_word=0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def url(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}/v1"


@pytest.fixture
def model(url: str) -> llm.Model:
    return llm.Model("any", url, "no key", max_tokens=500, trusted=True)


def ask(facts: dict[str, Any], *words: str) -> list[llm.Message]:
    said = [json.dumps(facts, ensure_ascii=False), *words]
    return [
        {"role": "system", "content": "You are a tutor."},
        *(llm.Message(role="user", content=content) for content in said),
    ]


def call(url: str, path: str, body: Any = None) -> Any:
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    with urlopen(Request(f"{url}{path}", data=content)) as reply:
        return json.load(reply)


def program(*arguments: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "dev.tutor", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, env=os.environ | {"PYTHONPATH": "layers/common"}
    )
