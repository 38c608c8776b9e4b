"""What kind of device, and whether a person holds it: agents of each kind, written for this test.

The lists know their own; in `agents.tsv` stand what they were not made of, and what was once wrong. Larger
collections are measured by `bench.agents`.
"""

from pathlib import Path

import pytest

from footfall.enrich.bots import classify
from footfall.enrich.user_agent import parse_user_agent

AGENTS = [
    tuple(line.split("\t"))
    for line in Path(__file__).with_name("agents.tsv").read_text(encoding="utf-8").splitlines()
]


@pytest.mark.parametrize(("kind", "agent"), AGENTS)
def test_a_device_of_a_person_or_a_program(kind, agent):
    assert classify(agent).is_bot == (kind == "bot")
    assert kind in {parse_user_agent(agent, "").device_type, "bot"}


def test_there_are_some_of_every_kind():
    assert {kind for kind, _ in AGENTS} == {"mobile", "tablet", "desktop", "tv", "other", "bot"}
