"""What each rule finds, and what it lets pass. Nothing here is ever run."""


def sql(session, name, query):
    # ruleid: sql-made-of-strings
    session.execute(text(f"SELECT 1 FROM users WHERE email = '{name}'"))
    # ruleid: sql-made-of-strings
    session.execute(text("SELECT 1 FROM users WHERE email = " + name))
    # ruleid: sql-made-of-strings
    session.execute(text("SELECT 1 FROM {}".format(name)))
    # ruleid: sql-made-of-strings
    session.execute(f"SELECT 1 FROM {name}")
    # ok: sql-made-of-strings
    session.execute(text("SELECT 1 FROM users WHERE email = :email"), {"email": name})
    # ok: sql-made-of-strings
    session.execute(query)


def doors(url, dialer):
    import socket
    import urllib.request

    import httpx2
    import openai

    # ruleid: connection-past-the-door
    httpx2.get(url)
    # ruleid: connection-past-the-door
    openai.OpenAI(base_url=url)
    # ruleid: connection-past-the-door
    urllib.request.urlopen(url)
    # ruleid: connection-past-the-door
    socket.create_connection((url, 443))
    # ok: connection-past-the-door
    dialer.client(url)


def wandering(transport):
    import httpx2

    # ruleid: client-that-wanders, connection-past-the-door
    httpx2.Client(transport=transport)
    # ruleid: client-that-wanders, connection-past-the-door
    httpx2.Client(follow_redirects=True, trust_env=False)
    # ok: client-that-wanders
    # ruleid: connection-past-the-door
    httpx2.Client(transport=transport, follow_redirects=False, trust_env=False)


def certificates(client, context):
    import ssl

    # ruleid: certificate-not-checked
    client(verify=False)
    # ruleid: certificate-not-checked
    context.check_hostname = False
    # ruleid: certificate-not-checked
    context.verify_mode = ssl.CERT_NONE
    # ok: certificate-not-checked
    ssl.create_default_context()


def tokens(token, key, read_token):
    import jwt

    # ruleid: token-read-elsewhere, token-believed
    jwt.decode(token, key, algorithms=["HS256", "none"])
    # ruleid: token-read-elsewhere, token-believed
    jwt.decode(token, options={"verify_signature": False})
    # ok: token-believed
    # ruleid: token-read-elsewhere
    jwt.decode(token, key, algorithms=["HS256"], audience="api", issuer="us", options={"require": ["exp"]})
    # ok: token-read-elsewhere
    read_token(token)


def comparisons(given, token, signature, password, row, RefreshToken):
    # ruleid: secret-compared-letter-by-letter
    if signature == given:
        return
    # ruleid: secret-compared-letter-by-letter
    if row.password != given:
        return
    # ok: secret-compared-letter-by-letter
    RefreshToken.token == given
    # ok: secret-compared-letter-by-letter
    row.name == given
    # ok: secret-compared-letter-by-letter
    hmac.compare_digest(signature, given)


def lines(logger, user, words, error):
    # ruleid: logged-what-was-said
    logger.info("asked", user_id=user.id, prompt=words)
    # ruleid: logged-what-was-said
    logger.warning("refused", password=words)
    # ok: logged-what-was-said
    logger.info("asked", user_id=user.id, duration_ms=3)
    # ruleid: logged-an-error-in-full
    logger.exception("failed")
    # ruleid: logged-an-error-in-full, logged-what-was-said
    logger.error("failed", exc_info=True)
    # ruleid: logged-an-error-in-full
    logger.error(f"failed: {error}")
    # ok: logged-an-error-in-full
    logger.error("failed", kind=type(error).__name__)


class Tracks:
    # ruleid: row-of-anybody
    def get(self, track_id: UUID) -> Track:
        return self.session.get(Track, track_id)

    # ruleid: row-of-anybody
    def delete(self, track_id: UUID, *, quietly: bool) -> None:
        self.session.execute(delete(Track).where(Track.id == track_id))

    # ok: row-of-anybody
    def of_session(self, key: str, *, owner_id: str, page: Page) -> list[Track]:
        return []


def sockets(aws, connections, user):
    # ruleid: sockets-looked-up-elsewhere
    aws.client("dynamodb").query(KeyConditionExpression="session_id = :session_id")
    # ok: sockets-looked-up-elsewhere
    connections.of_session(user.id, "1718000000000abc123xyz")


def middle(session):
    # ruleid: commit-in-the-middle
    session.commit()
    # ok: commit-in-the-middle
    session.flush()


def waiting(session_scope, llm, question):
    with session_scope() as session:
        history = session.scalars(question).all()
        # ruleid: model-asked-in-a-transaction
        llm.complete(history)
    # ok: model-asked-in-a-transaction
    llm.complete(history)


def instructions(prompts, words):
    # ruleid: instructions-made-of-words
    prompts.ask(f"You are a tutor. The learner says: {words}", {})
    # ruleid: instructions-made-of-words
    prompts.ask("You are a tutor. " + words, {})
    # ok: instructions-made-of-words
    prompts.ask(prompts.PLANNING, {"note": words})


def surroundings(settings):
    import os

    # ruleid: environment-read-elsewhere
    os.environ["SECRET_KEY"]
    # ruleid: environment-read-elsewhere
    os.getenv("SECRET_KEY")
    # ok: environment-read-elsewhere
    settings().secret_key
