"""What the worker remembers of what strangers send is bounded in bytes, whatever they send."""

import gc
import tracemalloc

import pytest

from footfall.enrich.pipeline import MEMORY, STEPS, Pipeline

MIB = 1 << 20
HOSTS = 24 * MIB  # what may be remembered of referrers besides
BATCH = 500
WIDE = "\U0001f600"


def batch(number, text):
    """Events of which no two are alike, with texts as long as they may be or nearly."""
    names = [f"{number * BATCH + index:08d}" for index in range(BATCH)]
    return {
        "user_agent": [f"Mozilla/5.0 {name} {text[:400]}" for name in names],
        "client_hints": [f'"{name}";v="1"|?0|"{name}"' for name in names],
        "told": [None for _ in names],
        "own_referrer": [False for _ in names],
        "page_url": [f"https://{name}.example/{name}/{text}" for name in names],
        "referrer": [f"https://{name}.example/{text}" for name in names],
        "utm": [(name + text[:180],) * 5 for name in names],
    }


@pytest.mark.parametrize(
    ("text", "batches"), [(WIDE * 1990, 14), (WIDE * 100, 40)], ids=["long", "as long as is remembered"]
)
def test_what_the_steps_remember_is_bounded_in_bytes(text, batches):
    pipeline = Pipeline()
    pipeline.run(batch(0, "x"))  # what is read once
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(1, batches + 1):
            pipeline.run(batch(number, text))
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < len(STEPS) * MEMORY + HOSTS


def test_what_is_short_and_comes_again_is_worked_out_once(monkeypatch):
    asked = []
    steps = tuple(
        step._replace(run=lambda *key, run=step.run: asked.append(key) or run(*key)) for step in STEPS
    )
    pipeline = Pipeline(steps)
    for number in (1, 1, 2, 1, 2):
        pipeline.run(batch(number, "x" * 300))
    assert len(asked) == 2 * BATCH * len(STEPS)
