"""What an installation in trouble answers: the truth or "not now", never that there is nothing."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.faults.harness.hand import http
from tests.faults.harness.installation import Installation, find

_NOT_NOW = {0, 429, 503, 504}  # 0: the process is being started again


class Witness:
    """Made while all is well; asks then what was true before, and writes down what is wrong."""

    def __init__(self, site: Installation) -> None:
        self.problems: list[str] = []
        self.not_now = 0  # answers
        self._site = site
        self._code = self._make("links", {"url": "https://example.com/"}, "short_code")
        self._key = self._make("keys", {"name": "witness", "scopes": ["ingest"]}, "key")
        self._events = site.counted()
        self._links = self._total("links")

    def ask(self) -> None:
        """Everything once, at the same time."""
        asked = (
            self._redirected,
            self._taken,
            self._counted,
            self._balanced,
            self._listed,
            self._made,
        )
        with ThreadPoolExecutor(len(asked)) as threads:
            for answer in [threads.submit(each) for each in asked]:
                answer.result()

    def _redirected(self) -> None:
        """By a link that the door has not seen before the first time."""
        status, _ = http(self._site.port, "HEAD", f"/{self._code}")
        self._note("a redirect", status, truth=status == 302)

    def _taken(self) -> None:
        """With a key that the door has not seen before the first time."""
        hand = self._site.hand
        status = hand.send(hand.tokens(3), named=True, key=self._key)
        self._note("events", status, truth=status == 202)

    def _balanced(self) -> None:
        status, answer = self._get("/api/v1/ledger?start_date=2020-01-01&end_date=2037-12-31")
        self._note(f"the ledger: {answer}", status, truth=find(answer, "balanced") is True)

    def _listed(self) -> None:
        status, answer = self._get("/api/v1/links?limit=1")
        self._note(f"links: {answer}", status, truth=(find(answer, "total") or 0) >= self._links)

    def _made(self) -> None:
        """A further link."""
        body = json.dumps({"url": "https://example.com/"}).encode()
        status, answer = http(self._site.console_port, "POST", "/api/v1/links", body)
        self._note(f"a new link: {answer}", status, truth=status == 201)

    def _counted(self) -> None:
        question = {
            "metrics": ["events"],
            "date_range": ["1970-01-01", "2099-12-31"],
            "include": {"bots": True},
        }
        body = json.dumps(question).encode()
        status, answer = http(self._site.console_port, "POST", "/v1/query?workspace=default", body)
        events = int(json.loads(answer)["results"][0]["metrics"][0]) if status == 200 else 0
        self._note(f"{events} events, {self._events} before", status, truth=events >= self._events)

    def _note(self, what: str, status: int, *, truth: bool) -> None:
        if status in _NOT_NOW:
            self.not_now += 1
        elif not truth:
            self.problems.append(f"answered {status}: {what}"[:400])

    def _get(self, path: str) -> tuple[int, Any]:
        status, answer = http(self._site.console_port, "GET", path)
        return status, json.loads(answer) if status == 200 else {}

    def _total(self, what: str) -> int:
        return find(self._get(f"/api/v1/{what}?limit=1")[1], "total")

    def _make(self, what: str, body: dict[str, Any], field: str) -> str:
        status, answer = http(self._site.console_port, "POST", f"/api/v1/{what}", json.dumps(body).encode())
        assert status == 201, answer
        return json.loads(answer)[field]
