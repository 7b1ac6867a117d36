"""What the tutor says, in the language of the person: plain talk and the parts of a course plan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dev.tutor.topic import Topic

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Language:
    greeting: str
    answer: str
    steps: Sequence[str]
    texts: Mapping[str, str]
    """By the name of a property; `{area}`, `{stage}` and `{hours}` are filled in."""


ENGLISH = Language(
    greeting=(
        "## {area}: let us begin\n\n"
        "Hello! I am the **demo tutor**: I run on this machine, without a model behind me, so that you can "
        "try everything out.\n\nHere is a first plan for about {hours:g} hours:\n\n{plan}\n\n"
        "What would you change? Tell me what you already know, or ask for the final plan."
    ),
    answer=(
        "You said: “{question}”\n\nWe are talking about **{subject}**. As the **demo tutor** I have no model "
        "behind me, but this is how an answer arrives. A way through this topic:\n\n{plan}\n\n"
        "Try the first step, and write to me what came of it."
    ),
    steps=(
        "First steps",
        "The foundations",
        "Practice on small tasks",
        "Techniques of the trade",
        "Mistakes and how to find them",
        "A project of your own",
        "Review and outlook",
    ),
    texts={
        "title": "{area}: {stage}",
        "goals": "{stage} in {area}: explain it in your own words and use it",
        "learning_objectives": "{stage} in {area}: explain it in your own words and use it",
        "topics": "{area}: {stage}",
        "practice": "An exercise in {area}: {stage}",
        "final_project": "A small project of your own in {area}, from the idea to the review.",
        "": "{stage} in {area}. The demo tutor wrote this text; with a model it would be a real one.",
    },
)

RUSSIAN = Language(
    greeting=(
        "## {area}: начинаем\n\n"
        "Здравствуйте! Я **демо-наставник**: работаю на этом компьютере без настоящей модели, чтобы вы могли "
        "всё попробовать.\n\nВот первый план примерно на {hours:g} ч:\n\n{plan}\n\n"
        "Что бы вы изменили? Расскажите, что уже умеете, или попросите составить итоговый план."
    ),
    answer=(
        "Вы написали: «{question}»\n\nМы говорим о теме **{subject}**. За мной, **демо-наставником**, "
        "не стоит настоящая модель, но ответы приходят именно так. Как можно пройти эту тему:\n\n{plan}\n\n"
        "Попробуйте первый шаг и напишите мне, что получилось."
    ),
    steps=(
        "первые шаги",
        "основы",
        "практика на небольших задачах",
        "приёмы мастерства",
        "ошибки и как их находить",
        "собственный проект",
        "повторение и что дальше",
    ),
    texts={
        "title": "{area}: {stage}",
        "goals": "{area}, {stage}: объяснить своими словами и применить",
        "learning_objectives": "{area}, {stage}: объяснить своими словами и применить",
        "topics": "{area}: {stage}",
        "practice": "Упражнение по теме «{area}»: {stage}",
        "final_project": "Небольшой собственный проект по теме «{area}»: от идеи до разбора.",
        "": "{area}: {stage}. Этот текст написал демо-наставник; с моделью здесь был бы настоящий.",
    },
)


def spoken(topic: Topic) -> str:
    """The tutor's turn in a chat, as Markdown."""
    language = _language(topic)
    plan = "\n".join(f"{number}. {step}" for number, step in enumerate(language.steps[:4], start=1))
    if topic.question is None:
        return language.greeting.format(area=topic.focus or topic.area, hours=topic.hours, plan=plan)
    subject = f"{topic.area} — {topic.focus}" if topic.focus else topic.area
    return language.answer.format(question=topic.question, subject=subject, plan=plan)


def written(topic: Topic, path: Path) -> str:
    """The text at a path of a structured answer: `("modules", "0", "title")`."""
    language = _language(topic)
    names = [step for step in path if not step.isdigit()]
    text = language.texts.get(names[-1] if names else "", language.texts[""])
    if names == ["title"]:
        return topic.focus or topic.area
    stage = language.steps[_position(path) % len(language.steps)]
    return text.format(area=topic.focus or topic.area, stage=stage)


def counted(topic: Topic, path: Path, siblings: int) -> float:
    """The number at a path: hours are shared out among siblings, all else counts from 1."""
    if "hours" in path[-1]:
        return max(1, round(topic.hours / max(siblings, 1)))
    return _position(path) + 1


def _language(topic: Topic) -> Language:
    return RUSSIAN if topic.russian else ENGLISH


def _position(path: Path) -> int:
    return sum(int(step) for step in path if step.isdigit())
