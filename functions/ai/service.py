"""Before a course begins: the greeting, the first plan, lessons, and whether a model answers at all.

A `session` that is passed in is the last transaction, which its caller commits together with the answer.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from academy import llm
from academy.conversations import open_chat
from academy.db import session_scope
from academy.errors import AppError
from academy.models import Lesson
from academy.repositories import Chats, Modules, Tracks
from ai import configuration, context, conversations, plans, prompts
from ai.asking import SECONDS, ask, ask_this
from ai.budget import QuotaExceeded
from ai.conversations import Said
from ai.plans import CoursePlan

PROBE_SECONDS = 15.0


def generate_plan(
    session: Session,
    *,
    owner_id: str,
    track_id: UUID,
    wishes: str,
    session_key: str | None,
    chat_id: UUID | None,
) -> tuple[CoursePlan, Said]:
    """A plan, kept with the track and said in the chat. Raises `NotFound`, `ModelError`."""
    with session_scope(owner_id) as asking:
        track = Tracks(asking).get(track_id, owner_id=owner_id, lock=True)
        if chat_id and not session_key:
            session_key = Chats(asking).get(chat_id, owner_id=owner_id).session_key
        chat = open_chat(
            asking, owner_id=owner_id, session_key=session_key, chat_id=chat_id, track_id=track_id
        )
        facts = context.track_facts(track) | {"user_expectations": context.shortened(wishes)}
    question = prompts.ask(prompts.PLAN, facts)
    answer = ask(
        lambda model: llm.complete_into(question, CoursePlan, model=model, seconds=SECONDS),
        prompt=question,
        purpose="plan",
        user_id=owner_id,
    )
    track = Tracks(session).get(track_id, owner_id=owner_id, lock=True)
    track.ai_generated_plan = answer.content.model_dump()
    words = llm.Answer(plans.as_markdown(answer.content), answer.model, answer.usage)
    return answer.content, conversations.say(session, chat.id, words)


def welcome(
    session: Session, *, owner_id: str, session_key: str, track_id: UUID | None, facts: dict[str, Any]
) -> Said:
    """The tutor's greeting with a first plan. Raises `NotFound`, `ModelError`."""
    with session_scope(owner_id) as asking:
        if track_id is not None:
            Tracks(asking).get(track_id, owner_id=owner_id, lock=True)
        chat = open_chat(asking, owner_id=owner_id, session_key=session_key, track_id=track_id)
    question = prompts.ask(prompts.WELCOME, {name: context.shortened(fact) for name, fact in facts.items()})
    answer = ask(
        lambda model: llm.complete(question, model=model, seconds=SECONDS),
        prompt=question,
        purpose="welcome",
        user_id=owner_id,
    )
    return conversations.say(session, chat.id, answer)


def generate_lesson(
    session: Session, *, owner_id: str, title: str, about: Any, content_type: str, module_id: UUID | None
) -> llm.Answer[str]:
    """A lesson in Markdown, kept if it is for a module of the owner's. Raises `NotFound`, `ModelError`."""
    facts = {"lesson_title": title, "module_context": context.shortened(about)}
    if module_id is not None:
        with session_scope(owner_id) as asking:
            facts |= context.module_facts(Modules(asking).get(module_id, owner_id=owner_id))
    question = prompts.ask(prompts.LESSON[content_type], facts)
    answer = ask(
        lambda model: llm.complete(question, model=model, seconds=SECONDS),
        prompt=question,
        purpose="lesson",
        user_id=owner_id,
    )
    if module_id is not None:
        Modules(session).get(module_id, owner_id=owner_id)
        lesson = Lesson(module_id=module_id, title=title, content_type=content_type, content=answer.content)
        session.add(lesson)
    return answer


def test_connection(
    *, owner_id: str, api_key: str | None, base_url: str | None, model_name: str | None
) -> llm.Answer[str] | AppError:
    """A word from the model that these settings name, or why there is none. Raises `QuotaExceeded`."""
    try:
        choice = configuration.choose_for_test(
            owner_id, api_key=api_key, base_url=base_url, model_name=model_name
        )
        question: list[llm.Message] = [{"role": "user", "content": prompts.PROBE}]
        return ask_this(
            choice,
            lambda model: llm.complete(question, model=model, seconds=PROBE_SECONDS),
            prompt=question,
            purpose="test",
            user_id=owner_id,
        )
    except QuotaExceeded:
        raise  # no failure of the connection, which nobody has tried
    except AppError as error:
        return error
