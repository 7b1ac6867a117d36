"""A reply from its claim to its end, the same for a caller who waits and for sockets that watch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from academy import llm
from academy.conversations import ChatGone
from academy.db import session_scope
from academy.errors import AppError, Conflict
from academy.models import Chat, Message, Track
from academy.paging import Page
from academy.repositories import Messages, Modules, Replies, Tracks
from academy.repositories.replies import Claim
from ai import context, prompts
from ai.asking import ask
from ai.draft import Audience, Draft


@dataclass(frozen=True, slots=True)
class Assignment:
    """A reply that is ours to write, and what to ask the model for it."""

    owner_id: str
    chat_id: UUID
    claim: Claim
    prompt: Sequence[llm.Message]


class Stopped(llm.ModelError):
    """Writing ended before the model did; `code` is the draft's outcome, for the books alone."""

    def __init__(self, outcome: str, usage: llm.Usage) -> None:
        super().__init__("The reply was stopped.")
        self.code, self.usage, self.calls = outcome, usage, 1


class TakenOver(Conflict):
    code = "reply_taken_over"

    def __init__(self) -> None:
        super().__init__("Somebody else is writing this reply by now.")


def assign(
    session: Session, claim: Claim, chat: Chat, question: Message, *, owner_id: str, remark: Any = None
) -> Assignment:
    """What the model needs to know for the reply to this question; nothing that was said after it."""
    prompt = _prompt(session, owner_id, chat, question.position, remark)
    return Assignment(owner_id, chat.id, claim, prompt)


def write(
    assignment: Assignment, audience: Audience, *, seconds: float, session: Session | None = None
) -> Message:
    """The reply as the model wrote it and as it is stored now. No transaction may be open.

    With a `session`, whoever that belongs to commits the reply; its failure is committed here.
    Raises `AppError` once the failure and the words so far are stored; `ChatGone`, `TakenOver`.
    """
    draft = Draft(assignment.claim, audience)
    try:
        answer = ask(
            lambda model: _answer(assignment.prompt, model, draft, seconds),
            prompt=assignment.prompt,
            purpose="chat",
            user_id=assignment.owner_id,
            reply_id=assignment.claim.reply_id,
        )
        status = "complete"
    except AppError as error:
        answer, status = llm.Answer(draft.text, "", getattr(error, "usage", llm.Usage())), error.code
        if status != "cancelled":
            _settle(assignment.claim, status="failed", message_content=draft.text)
            raise
    draft.show()
    return _settle(assignment.claim, session, status=status, **columns(answer))


def abandon(claim: Claim) -> None:
    """Give a reply up, so that the same words can be asked again at once."""
    with session_scope(claim.owner_id) as session:
        Replies(session).settle(claim, status="failed")


def columns(answer: llm.Answer[str]) -> dict[str, Any]:
    """An answer as a message's columns."""
    return {
        "message_content": answer.content,
        "tokens_used": answer.usage.total,
        "ai_model_used": answer.model[:200],
    }


def _answer(prompt: Sequence[llm.Message], model: llm.Model, draft: Draft, seconds: float) -> llm.Answer[str]:
    try:
        with closing(llm.stream(prompt, model=model, seconds=seconds, attend=draft.attend)) as stream:
            for said in stream:
                if isinstance(said, llm.Answer):
                    return said
                if not draft.add(said):
                    break
    except llm.ModelError:
        if draft.outcome is None:
            raise
    if draft.outcome == "silent":
        raise llm.ModelTimeout
    # Nobody sends the bill for an answer that we did not hear to its end.
    usage = llm.Usage(llm.estimate_prompt(prompt), llm.estimate_tokens(draft.text))
    raise Stopped(draft.outcome or "lost", usage)


def _settle(claim: Claim, given: Session | None = None, **values: Any) -> Message:
    with nullcontext(given) if given else session_scope(claim.owner_id) as session:
        if settled := Replies(session).settle(claim, **values):
            return settled
        is_gone = Replies(session).find(claim.reply_id) is None
    raise ChatGone if is_gone else TakenOver


def _prompt(session: Session, owner_id: str, chat: Chat, through: int, remark: Any) -> Sequence[llm.Message]:
    said = Messages(session).newest(
        chat.id, owner_id=owner_id, page=Page(limit=context.TURNS_READ), through=through
    )
    facts = context.track_facts(_track_of(session, owner_id, chat))
    if remark:
        facts["track_context"] = context.shortened(remark)
    if chat.module_id is None:
        return prompts.ask(prompts.PLANNING, facts, context.turns(said))
    module = Modules(session).get(chat.module_id, owner_id=owner_id)
    return prompts.ask(prompts.LECTURE, facts | context.module_facts(module), context.turns(said))


def _track_of(session: Session, owner_id: str, chat: Chat) -> Track | None:
    track_id = chat.session.track_id
    if chat.module_id is not None:
        track_id = Modules(session).get(chat.module_id, owner_id=owner_id).track_id
    return Tracks(session).get(track_id, owner_id=owner_id) if track_id else None
