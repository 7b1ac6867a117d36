"""A course under way: its modules made, begun, talked about and completed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy.orm import Session

from academy import llm
from academy.conversations import open_chat
from academy.db import session_scope
from academy.errors import Conflict, NotFound
from academy.models import Chat, Message, Module, Track
from academy.observability import logger
from academy.paging import Page
from academy.repositories import Messages, Modules, Tracks
from academy.repositories.tracks import is_module
from academy.websocket import Audience, FinalizationComplete
from ai import context, plans, prompts
from ai.asking import SECONDS, ask
from ai.conversations import Said
from ai.plans import MAX_MODULES, CourseModule

ModuleRef = UUID | int
HISTORY = Page(limit=200)
COMPLETE = 100


class NoPlan(Conflict):
    code = "no_plan"

    def __init__(self) -> None:
        super().__init__("Talk with the tutor first: there is no plan in this chat yet.")


class NotStarted(Conflict):
    code = "module_not_started"

    def __init__(self) -> None:
        super().__init__("Start this module before you complete it.")


@dataclass(frozen=True, slots=True)
class Talk:
    """A planning talk as it stands: how far it has come, and what the model needs to make modules of it."""

    chat_id: UUID
    through: int
    prompt: Sequence[llm.Message]
    begun: int


def finalize(*, owner_id: str, track_id: UUID, session_key: str, skill_area: str) -> Sequence[Module]:
    """The track's modules, made from the talk so far; no model is asked if nothing new was said.

    Raises `NotFound`, `NoPlan`, `ModelError`.
    """
    with session_scope(owner_id) as session:
        track = Tracks(session).get(track_id, owner_id=owner_id, lock=True)
        talk = _talk(session, owner_id, track, session_key, skill_area)
        if _is_settled(track, talk):
            return track.modules
    shape = plans.modules_to_follow(talk.begun)
    answer = ask(
        lambda model: llm.complete_into(talk.prompt, shape, model=model, seconds=SECONDS),
        prompt=talk.prompt,
        purpose="finalize",
        user_id=owner_id,
    )
    with session_scope(owner_id) as session:
        track = Tracks(session).get(track_id, owner_id=owner_id, lock=True)
        if _is_settled(track, talk):
            return track.modules
        following = [_module(planned) for planned in answer.content.modules]
        Modules(session).replace_unbegun(track, following[: MAX_MODULES - _begun(track)])
        track.status, track.planned_through = "active", talk.through
        session.flush()
        logger.info("course finalized", track_id=track.id, user_id=owner_id)
        modules = Tracks(session).get(track_id, owner_id=owner_id).modules
    _announce(owner_id, session_key, talk.chat_id, track_id, len(modules))
    return modules


def start_module(
    session: Session, *, owner_id: str, track_id: UUID, module: ModuleRef, session_key: str
) -> Said:
    """The module's summary and the chat to talk about it: made once, the same ever after.

    Raises `NotFound`, `ModelError`.
    """
    with session_scope(owner_id) as asking:
        track = Tracks(asking).get(track_id, owner_id=owner_id, lock=True)
        found = Modules(asking).get(module, track_id=track_id, owner_id=owner_id)
        chat = open_chat(asking, owner_id=owner_id, session_key=session_key, track_id=track_id, module=found)
        if found.ai_generated_content is not None:
            return _again(asking, owner_id, chat, found.ai_generated_content)
        facts = context.track_facts(track) | context.module_facts(found)
    question = prompts.ask(prompts.SUMMARY, facts)
    answer = ask(
        lambda model: llm.complete(question, model=model, seconds=SECONDS),
        prompt=question,
        purpose="summary",
        user_id=owner_id,
    )
    Tracks(session).get(track_id, owner_id=owner_id, lock=True)
    Modules(session).begin(found.id, summary=answer.content)
    begun = Modules(session).get(found.id, owner_id=owner_id)
    said = _again(session, owner_id, chat, begun.ai_generated_content or "")
    return replace(said, tokens_used=answer.usage.total, model_used=answer.model)


def complete_module(
    session: Session, *, owner_id: str, track_id: UUID, module: ModuleRef
) -> tuple[Track, Module]:
    """Complete a module; with the last one the track is completed too. Raises `NotFound`, `NotStarted`."""
    track = Tracks(session).get(track_id, owner_id=owner_id, lock=True)
    found = _module_of(track, module)
    if found.status == "not_started":
        raise NotStarted
    found.status = "completed"
    if track.progress == COMPLETE:
        track.status = "completed"
    session.flush()
    logger.info("module completed", track_id=track.id, user_id=owner_id, progress=track.progress)
    return track, found


def history(
    session: Session,
    *,
    owner_id: str,
    track_id: UUID,
    module: ModuleRef,
    session_key: str,
    chat_id: UUID | None,
) -> tuple[UUID | None, Sequence[Message]]:
    """The chat about a module and its newest messages, oldest first. Raises `NotFound`."""
    found, newest = Messages(session).of_module(
        is_module(module),
        track_id=track_id,
        owner_id=owner_id,
        session_key=session_key,
        chat_id=chat_id,
        page=HISTORY,
    )
    return found, newest[::-1]


def _module_of(track: Track, module: ModuleRef) -> Module:
    """Raises `NotFound`."""
    for candidate in track.modules:
        if module in (candidate.id, candidate.module_number):
            return candidate
    raise NotFound("module")


def _talk(session: Session, owner_id: str, track: Track, session_key: str, skill_area: str) -> Talk:
    chat = open_chat(session, owner_id=owner_id, session_key=session_key, track_id=track.id)
    said = Messages(session).newest(chat.id, owner_id=owner_id, page=Page(limit=context.TURNS_READ))
    if not any(message.sender_type == "ai" for message in said):
        raise NoPlan
    begun = [module.title for module in track.modules if module.status != "not_started"]
    facts = context.track_facts(track) | {"skill_area": skill_area, "begun_modules": begun}
    prompt = prompts.ask(prompts.FINALIZE, facts, context.turns(said))
    return Talk(chat.id, said[0].position, prompt, len(begun))


def _announce(owner_id: str, session_key: str, chat_id: UUID, track_id: UUID, modules: int) -> None:
    """Tell every tab of the session, also those that did not ask."""
    sockets = Audience(owner_id, [session_key])
    sockets.refresh()
    sockets.push(
        FinalizationComplete(
            message=f"The course is ready: {modules} modules.",
            chat_id=chat_id,
            modules_created=modules,
            track_id=track_id,
        )
    )


def _is_settled(track: Track, talk: Talk) -> bool:
    if _begun(track) >= MAX_MODULES:
        return True
    return bool(track.modules) and (track.planned_through or 0) >= talk.through


def _begun(track: Track) -> int:
    return sum(module.status != "not_started" for module in track.modules)


def _module(planned: CourseModule) -> Module:
    return Module(
        title=planned.title,
        description=planned.description,
        learning_objectives=planned.learning_objectives,
        estimated_duration_hours=planned.duration_hours,
    )


def _again(session: Session, owner_id: str, chat: Chat, summary: str) -> Said:
    """The summary, which is also the first thing the tutor says in a chat about the module."""
    messages = Messages(session)
    if not messages.newest(chat.id, owner_id=owner_id, page=Page(limit=1)):
        messages.add(Message(chat_id=chat.id, sender_type="ai", message_content=summary))
    return Said(chat.id, summary, tokens_used=0, model_used="")
