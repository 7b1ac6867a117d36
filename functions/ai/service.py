"""Before a course begins: the greeting, the first plan, lessons, and whether a model answers at all."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from academy import llm
from academy.conversations import open_chat
from academy.db import session_scope
from academy.errors import AppError
from academy.models import Lesson
from academy.repositories import Chats, Modules, Tracks
from ai import configuration, context, conversations, plans, prompts
from ai.asking import SECONDS, ask, ask_this
from ai.conversations import Said
from ai.plans import CoursePlan

PROBE_SECONDS = 15.0


def generate_plan(
    *, owner_id: str, track_id: UUID, wishes: str, session_key: str | None, chat_id: UUID | None
) -> tuple[CoursePlan, Said]:
    """A plan, kept with the track and said in the chat. Raises `NotFound`, `ModelError`."""
    with session_scope(owner_id) as session:
        track = Tracks(session).get(track_id, owner_id=owner_id)
        if chat_id and not session_key:
            session_key = Chats(session).get(chat_id, owner_id=owner_id).session_key
        chat = open_chat(
            session, owner_id=owner_id, session_key=session_key, chat_id=chat_id, track_id=track_id
        )
        facts = context.track_facts(track) | {"user_expectations": context.shortened(wishes)}
    question = prompts.ask(prompts.PLAN, facts)
    answer = ask(
        lambda model: llm.complete_into(question, CoursePlan, model=model, seconds=SECONDS),
        purpose="plan",
        user_id=owner_id,
    )
    with session_scope(owner_id) as session:
        track = Tracks(session).get(track_id, owner_id=owner_id, lock=True)
        track.ai_generated_plan = answer.content.model_dump()
    words = llm.Answer(plans.as_markdown(answer.content), answer.model, answer.usage)
    return answer.content, conversations.say(chat.id, words, owner_id=owner_id)


def welcome(*, owner_id: str, session_key: str, track_id: UUID | None, facts: dict[str, Any]) -> Said:
    """The tutor's greeting with a first plan. Raises `NotFound`, `ModelError`."""
    with session_scope(owner_id) as session:
        if track_id is not None:
            Tracks(session).get(track_id, owner_id=owner_id)
        chat = open_chat(session, owner_id=owner_id, session_key=session_key, track_id=track_id)
    question = prompts.ask(prompts.WELCOME, {name: context.shortened(fact) for name, fact in facts.items()})
    answer = ask(
        lambda model: llm.complete(question, model=model, seconds=SECONDS),
        purpose="welcome",
        user_id=owner_id,
    )
    return conversations.say(chat.id, answer, owner_id=owner_id)


def generate_lesson(
    *, owner_id: str, title: str, about: Any, content_type: str, module_id: UUID | None
) -> llm.Answer[str]:
    """A lesson in Markdown, kept if it is for a module of the owner's. Raises `NotFound`, `ModelError`."""
    facts = {"lesson_title": title, "module_context": context.shortened(about)}
    if module_id is not None:
        with session_scope(owner_id) as session:
            facts |= context.module_facts(Modules(session).get(module_id, owner_id=owner_id))
    question = prompts.ask(prompts.LESSON[content_type], facts)
    answer = ask(
        lambda model: llm.complete(question, model=model, seconds=SECONDS),
        purpose="lesson",
        user_id=owner_id,
    )
    if module_id is not None:
        with session_scope(owner_id) as session:
            Modules(session).get(module_id, owner_id=owner_id)
            lesson = Lesson(
                module_id=module_id, title=title, content_type=content_type, content=answer.content
            )
            session.add(lesson)
    return answer


def test_connection(
    *, owner_id: str, api_key: str | None, base_url: str | None, model_name: str | None
) -> llm.Answer[str] | AppError:
    """A word from the model that these settings name, or why there is none."""
    try:
        with session_scope(owner_id) as session:
            choice = configuration.choose_for_test(
                session, owner_id, api_key=api_key, base_url=base_url, model_name=model_name
            )
        question: list[llm.Message] = [{"role": "user", "content": prompts.PROBE}]
        return ask_this(
            choice,
            lambda model: llm.complete(question, model=model, seconds=PROBE_SECONDS),
            purpose="test",
            user_id=owner_id,
        )
    except AppError as error:
        return error
