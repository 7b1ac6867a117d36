"""`/api/ai`: the tutor, over HTTP."""

from fastapi import Depends

from academy import throttle
from academy.errors import AppError
from academy.http import LET_GO, CurrentUser, Repetition, Router, SessionDep, lambda_handler
from academy.shapes import HistoryMessage, ModuleOut
from ai import configuration, conversations, courses, service
from ai.asking import QUESTIONS
from ai.schemas import (
    ConfigIn,
    ConfigOut,
    FinalizeIn,
    FinalizeOut,
    LessonIn,
    LessonOut,
    ModuleChatIn,
    ModuleChatOut,
    ModuleCompleteOut,
    ModuleHistoryIn,
    ModuleHistoryOut,
    ModuleIn,
    ModuleStartOut,
    PlanIn,
    PlanOut,
    ReplyOut,
    TestIn,
    TestOut,
    WelcomeIn,
    WelcomeOut,
    WordsIn,
)

router = Router(prefix="/ai", tag="ai")


async def count_question(user: CurrentUser, session: SessionDep) -> None:
    throttle.count(session, QUESTIONS, user.id)


ASKS = [Depends(count_question), LET_GO]
"""What a route has that asks a model."""


@router.post("/generate-plan", dependencies=ASKS)
def generate_plan(body: PlanIn, user: CurrentUser, session: SessionDep) -> PlanOut:
    plan, said = service.generate_plan(
        session,
        owner_id=user.id,
        track_id=body.track_id,
        wishes=body.user_expectations,
        session_key=body.session_id,
        chat_id=body.chat_id,
    )
    return PlanOut(plan=plan, chat_id=said.chat_id, tokens_used=said.tokens_used)


@router.post("/chat-response", dependencies=ASKS)
def chat_response(body: WordsIn, user: CurrentUser, session: SessionDep, repetition: Repetition) -> ReplyOut:
    said = conversations.converse(
        session,
        owner_id=user.id,
        session_key=body.session_id,
        words=body.message,
        chat_id=body.chat_id,
        remark=body.track_context,
        repetition=repetition,
    )
    return ReplyOut(
        response=said.text,
        chat_id=said.chat_id,
        tokens_used=said.tokens_used,
        model_used=said.model_used,
    )


@router.post("/generate-lesson", dependencies=ASKS)
def generate_lesson(body: LessonIn, user: CurrentUser, session: SessionDep) -> LessonOut:
    answer = service.generate_lesson(
        session,
        owner_id=user.id,
        title=body.lesson_title,
        about=body.module_context,
        content_type=body.content_type,
        module_id=body.module_id,
    )
    return LessonOut(content=answer.content, tokens_used=answer.usage.total)


@router.get("/user-config", response_model=ConfigOut)
def get_config(user: CurrentUser, session: SessionDep) -> configuration.View:
    return configuration.view(session, user.id)


@router.put("/user-config", response_model=ConfigOut, dependencies=[LET_GO])
def change_config(body: ConfigIn, user: CurrentUser) -> configuration.View:
    return configuration.save(user.id, body.model_dump(exclude_unset=True))


@router.get("/default-config", response_model=ConfigOut)
def get_default_config() -> configuration.View:
    return configuration.default_view()


@router.post("/test-connection", dependencies=ASKS)
def test_connection(body: TestIn, user: CurrentUser) -> TestOut:
    outcome = service.test_connection(owner_id=user.id, **body.model_dump())
    if isinstance(outcome, AppError):
        return TestOut(success=False, message="The model did not answer.", error=outcome.detail)
    return TestOut(
        success=True,
        message="The model answered.",
        model_used=outcome.model,
        tokens_used=outcome.usage.total,
    )


@router.post("/welcome-message", dependencies=ASKS)
def welcome_message(body: WelcomeIn, user: CurrentUser, session: SessionDep) -> WelcomeOut:
    facts = body.model_dump(exclude={"session_id", "track_id"})
    said = service.welcome(
        session, owner_id=user.id, session_key=body.session_id, track_id=body.track_id, facts=facts
    )
    return WelcomeOut(message=said.text, chat_id=said.chat_id, tokens_used=said.tokens_used)


@router.post("/finalize-course-plan", dependencies=ASKS)
def finalize_course_plan(body: FinalizeIn, user: CurrentUser) -> FinalizeOut:
    modules = courses.finalize(
        owner_id=user.id,
        track_id=body.track_id,
        session_key=body.session_id,
        skill_area=body.skill_area,
    )
    shown = [ModuleOut.model_validate(module) for module in modules]
    return FinalizeOut(modules_count=len(shown), modules=shown)


@router.post("/module-learning-start", dependencies=ASKS)
def start_module(body: ModuleIn, user: CurrentUser, session: SessionDep) -> ModuleStartOut:
    said = courses.start_module(
        session,
        owner_id=user.id,
        track_id=body.track_id,
        module=body.module_id,
        session_key=body.session_id,
    )
    return ModuleStartOut(module_summary=said.text, chat_id=said.chat_id, tokens_used=said.tokens_used)


@router.post("/module-chat", dependencies=ASKS)
def module_chat(
    body: ModuleChatIn, user: CurrentUser, session: SessionDep, repetition: Repetition
) -> ModuleChatOut:
    said = conversations.converse(
        session,
        owner_id=user.id,
        session_key=body.session_id,
        words=body.message,
        chat_id=body.chat_id,
        track_id=body.track_id,
        module=body.module_id,
        repetition=repetition,
    )
    return ModuleChatOut(response=said.text, chat_id=said.chat_id, tokens_used=said.tokens_used)


@router.post("/module-complete")
def complete_module(body: ModuleIn, user: CurrentUser, session: SessionDep) -> ModuleCompleteOut:
    track, module = courses.complete_module(
        session, owner_id=user.id, track_id=body.track_id, module=body.module_id
    )
    return ModuleCompleteOut(message="The module is completed.", module_id=module.id, progress=track.progress)


@router.post("/module-chat-history")
def module_chat_history(body: ModuleHistoryIn, user: CurrentUser, session: SessionDep) -> ModuleHistoryOut:
    chat_id, messages = courses.history(
        session,
        owner_id=user.id,
        track_id=body.track_id,
        module=body.module_id,
        session_key=body.session_id,
        chat_id=body.chat_id,
    )
    shown = [HistoryMessage.model_validate(message) for message in messages]
    return ModuleHistoryOut(history=shown, chat_id=chat_id)


handler = lambda_handler(router)
