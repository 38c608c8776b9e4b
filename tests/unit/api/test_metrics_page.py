"""The page about metrics is that of the lists."""

from pathlib import Path

from footfall.api.metrics_page import page
from footfall.query.catalog.metrics import METRICS

DOCS = Path(__file__).parents[3] / "docs" / "metrics.md"


def test_the_page_in_the_docs_is_the_one_made_from_the_lists():
    assert DOCS.read_text(encoding="utf-8") == page(), (
        "run python -m footfall.api.metrics_page > docs/metrics.md"
    )


def test_every_metric_says_how_it_is_counted_and_how_others_count():
    text = page()
    for metric in METRICS.values():
        assert f"### {metric.name}\n\n{metric.meaning}" in text
        assert metric.differs in text
