"""Text that a browser would run is text here: it comes back byte for byte, and never as a page."""

import pytest

from academy.models import User
from tests.client import Reply
from tests.conftest import Api
from tests.fakes import ScriptedModel
from tests.functions.test_ai_flows import KEY, Learner

MARKUP = {
    "a script": "<script>alert(1)</script>",
    "an image": '<img src=x onerror="alert(1)">',
    "a link": "[click](javascript:alert(1))",
    "a data link": "[click](data:text/html;base64,PHNjcmlwdD4=)",
    "mermaid": '```mermaid\ngraph TD; A["<img src=x onerror=alert(1)>"]\n```',
    "KaTeX": r"$$\href{javascript:alert(1)}{x}$$",
    "the end of a page": "</body></html><!--",
    "an entity": "&lt;script&gt;",
}


def is_json_and_nothing_else(reply: Reply) -> bool:
    kind = reply.headers["content-type"].partition(";")[0]
    return (
        kind in {"application/json", "application/problem+json"}
        and reply.headers["x-content-type-options"] == "nosniff"
        and "default-src 'none'" in reply.headers["content-security-policy"]
    )


@pytest.mark.parametrize("text", MARKUP.values(), ids=MARKUP)
def test_E6_what_is_said_and_answered_comes_back_as_it_is(
    text: str, api: Api, user: User, model: ScriptedModel
) -> None:
    model.reset()
    model.says(text, "")
    learner = Learner(api(user))
    spoken = learner.say(text)
    messages = learner.client.get(f"/api/chat/chats/{spoken.body['chat_id']}/messages")
    titled = learner.client.post("/api/tracks", {"title": text[:255]})
    refused = learner.client.get(f"/api/chat/sessions/{KEY}/chats?cursor={text[:20].encode().hex()}")
    assert spoken.body["response"] == text
    assert [message["message_content"] for message in messages.body] == [text, text]
    assert titled.body["title"] == text[:255]
    assert refused.status == 422
    for reply in (spoken, messages, titled, refused):
        assert is_json_and_nothing_else(reply)
