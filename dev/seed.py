"""A demo account with a planned course, made through the API of a running stack: something to look at."""

import json
import os
import urllib.error
import urllib.request
from typing import Any

from dev.trouble import Trouble, told

EMAIL, PASSWORD = "demo@academy.example", "learn something new"
SESSION = "demo-session"
COURSE = {
    "title": "Аргентинское танго с нуля",
    "description": "Курс для тех, кто никогда не танцевал.",
    "skill_area": "Аргентинское танго",
    "difficulty_level": "beginner",
    "estimated_duration_hours": 20,
    "user_expectations": "Хочу через три месяца уверенно станцевать на милонге.",
}


class Api:
    """The running stack, as a browser would talk to it."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.token = ""

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, content, headers, method=method)  # noqa: S310 - our own
        try:
            with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - as above
                return json.load(response)
        except urllib.error.HTTPError as error:
            problem = json.load(error)
            raise Trouble(f"{method} {path}: {problem.get('detail', error.reason)}") from None
        except urllib.error.URLError:
            raise Trouble(
                f"Nothing answers at {self.base}: start the stack with `make dev` in another terminal first."
            ) from None


def seed(api: Api) -> None:
    """Log the demo account in, registering it on the first time, and plan its course once."""
    account = {"email": EMAIL, "password": PASSWORD}
    try:
        names = {"first_name": "Анна", "last_name": "Демо"}
        api.token = api("POST", "/api/auth/register", {**account, **names})["access_token"]
    except Trouble:
        api.token = api("POST", "/api/auth/login", account)["access_token"]
    if not api("GET", "/api/tracks"):
        _plan(api)


def _plan(api: Api) -> None:
    track_id = api("POST", "/api/tracks", COURSE)["id"]
    here = {"track_id": track_id, "session_id": SESSION}
    wishes = {"skill_area": COURSE["skill_area"], "user_expectations": COURSE["user_expectations"]}
    level = {"difficulty_level": "beginner", "duration_hours": 20}
    api("POST", "/api/ai/welcome-message", {**here, **wishes, **level})
    words = "Добавьте побольше практики в паре, пожалуйста."
    api("POST", "/api/ai/chat-response", {"session_id": SESSION, "message": words})
    api("POST", "/api/ai/generate-plan", {**here, "user_expectations": COURSE["user_expectations"]})
    api("POST", "/api/ai/finalize-course-plan", {**here, "skill_area": COURSE["skill_area"]})
    api("POST", "/api/ai/module-learning-start", {**here, "module_id": "1"})


def main() -> None:
    base = f"http://localhost:{os.environ.get('PORT', '8000')}"
    with told():
        seed(Api(base))
    print(f"Log in at {base} as {EMAIL} with the password: {PASSWORD}")


if __name__ == "__main__":
    main()
