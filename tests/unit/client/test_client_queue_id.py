"""The routing key of a sender."""

from pathlib import Path

import httpx
import pytest

from footfall.client import Client, Misconfigured
from footfall.client.queue_id import persistent_queue_id


def client(**options):
    return Client(
        "http://door", key="k", transport=httpx.MockTransport(lambda _: httpx.Response(503)), **options
    )


def test_a_queue_id_stays_where_it_has_a_file(tmp_path):
    file = tmp_path / "new" / "queue-id"
    with client(queue_file=file) as first, client(queue_file=str(file)) as second:
        assert first.queue_id == second.queue_id == file.read_text().strip()
    assert [path.name for path in file.parent.iterdir()] == ["queue-id"]


def test_a_client_without_a_file_has_its_own():
    with client() as first, client() as second, client(queue_id="worker-3") as third:
        assert first.queue_id != second.queue_id
        assert third.queue_id == "worker-3"


def test_who_comes_second_takes_the_id_of_the_first(tmp_path, monkeypatch):
    file = tmp_path / "queue-id"
    first = persistent_queue_id(file)
    with monkeypatch.context() as before_the_first:  # as if both had looked before either wrote
        before_the_first.setattr(Path, "exists", lambda _: False)
        second = persistent_queue_id(file)
    assert first == second == file.read_text().strip()
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("content", ["", "a\nb", "x" * 201, "\u00fc"])
def test_a_file_that_holds_something_else_is_refused(tmp_path, content):
    (tmp_path / "queue-id").write_text(content)
    with pytest.raises(Misconfigured, match="queue-id"):
        client(queue_file=tmp_path / "queue-id")
