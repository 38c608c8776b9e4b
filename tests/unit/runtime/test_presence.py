"""An error is not "no"."""

import pytest

from footfall import installation
from footfall.errors import Misconfigured
from footfall.runtime.consumer_offsets import Consumers
from footfall.runtime.presence import is_directory, is_there, names_in
from footfall.settings import load
from footfall.stamps import look_at_log, look_at_store


@pytest.fixture
def loop(tmp_path):
    """A path that is there and answers every look with an error that pathlib passes over."""
    path = tmp_path / "loop"
    path.symlink_to(path)
    return path


@pytest.mark.parametrize("look", [is_there, is_directory, names_in])
def test_what_cannot_be_told_is_an_error(loop, look):
    assert not loop.exists()
    with pytest.raises(OSError, match="loop"):
        look(loop / "below")


def test_what_is_there_and_what_is_not(tmp_path):
    (tmp_path / "file").write_text("")
    assert (is_there(tmp_path / "file"), is_directory(tmp_path / "file")) == (True, False)
    assert (is_there(tmp_path), is_directory(tmp_path), names_in(tmp_path)) == (True, True, ["file"])
    for path in (tmp_path / "none", tmp_path / "file" / "below"):
        assert (is_there(path), is_directory(path), names_in(path)) == (False, False, [])


@pytest.mark.parametrize("look", [look_at_log, look_at_store])
def test_a_part_that_cannot_be_looked_at_is_not_missing(loop, look):
    with pytest.raises(Misconfigured):
        look(loop)


@pytest.mark.parametrize("look", [installation.examine, installation.exists])
def test_a_data_directory_that_cannot_be_looked_at_is_not_a_new_one(loop, look):
    with pytest.raises(Misconfigured):
        look(load(data=loop))


def test_the_events_of_a_store_that_cannot_be_looked_at_are_not_none(tmp_path):
    events = tmp_path / "data" / "footfall" / "events"
    events.parent.mkdir(parents=True)
    events.symlink_to(events)
    with pytest.raises(Misconfigured):
        look_at_store(tmp_path)


def test_what_a_consumer_committed_is_not_nothing_while_it_cannot_be_read(tmp_path):
    consumers = Consumers(tmp_path)
    consumers.commit("worker", 1, 7)
    other = tmp_path / "consumers" / "other"
    other.symlink_to(other)
    for look in (consumers.highest, consumers.released):
        with pytest.raises(OSError, match="1"):
            look(1)
