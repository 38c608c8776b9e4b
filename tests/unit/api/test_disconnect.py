"""Work ends with the client, but not with the answer; and nothing else changes for the application."""

import asyncio

import pytest

from footfall.api.disconnect import ends_with_the_client


class Connection:
    """One request over ASGI; `gone` is set when the client goes, or has its answer."""

    def __init__(self, *body):
        self.messages = [
            {"type": "http.request", "body": part, "more_body": number < len(body)}
            for number, part in enumerate(body, 1)
        ]
        self.gone = asyncio.Event()
        self.sent = []

    async def receive(self):
        if self.messages:
            return self.messages.pop(0)
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        self.sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self.gone.set()  # as servers do


async def serve(app, connection, method="GET"):
    async with asyncio.timeout(10):
        await ends_with_the_client(app)(
            {"type": "http", "method": method}, connection.receive, connection.send
        )


async def answer(send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x"})


def test_what_is_done_after_the_answer_is_done():
    done = []

    async def app(_scope, _receive, send):
        await answer(send)
        for _ in range(5):
            await asyncio.sleep(0)
        done.append(True)

    asyncio.run(serve(app, Connection(b"")))
    assert done


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_who_goes_ends_the_work_and_what_cleans_up_runs(method):
    steps = []

    async def check():
        connection = Connection(b"")

        async def app(_scope, receive, _send):
            if method == "POST":
                await receive()
            steps.append("begun")
            connection.gone.set()
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                steps.append("ended")

        await serve(app, connection, method)
        assert not connection.sent

    asyncio.run(check())
    assert steps == ["begun", "ended"]


def test_the_body_of_a_post_is_read_by_the_application():
    async def check():
        connection, read = Connection(b"a", b"b", b"c"), []

        async def app(_scope, receive, send):
            more = True
            while more:
                message = await receive()
                read.append(message["body"])
                more = message["more_body"]
            await answer(send)
            assert (await receive())["type"] == "http.disconnect"

        await serve(app, connection, "POST")
        assert read == [b"a", b"b", b"c"]

    asyncio.run(check())


def test_a_failure_is_passed_on():
    async def app(_scope, _receive, _send):
        raise ValueError("as it is")

    with pytest.raises(ValueError, match="as it is"):
        asyncio.run(serve(app, Connection(b"")))


def test_the_server_s_stop_ends_the_work_first():
    ended = []

    async def app(_scope, _receive, _send):
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def check():
        serving = asyncio.create_task(serve(app, Connection(b"")))
        await asyncio.sleep(0.01)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving

    asyncio.run(check())
    assert ended
