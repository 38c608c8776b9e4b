"""What is read of logs of others: `python -m bench.real_logs FILE...`.

Every line is accounted for: a request, skipped, or refused with a reason. The files are no part of this
project: matomo-org/matomo-log-analytics has some (`tests/logs`), fail2ban/fail2ban
(`fail2ban/tests/files/logs`), and elastic/examples.
"""

import sys
from collections import Counter
from io import BufferedReader
from pathlib import Path

from footfall.imports.access_log.lines import LineReader
from footfall.imports.access_log.requests import read
from footfall.imports.reader import read_chunks


def main() -> None:
    """Print a line a file, and why lines of it are refused."""
    for path in map(Path, sys.argv[1:]):
        lines = requests = known = 0
        refused, why = Counter[str](), Counter[str]()
        with path.open("rb") as raw:
            for chunk in read_chunks(BufferedReader(raw), 20_000, LineReader()):
                hits = read(chunk.lines, LineReader("", chunk.fields))
                lines += len(chunk.lines)
                requests += len(hits.hits)
                known += sum(bool(hit.request.address) for hit in hits.hits)
                refused.update(hits.refusals.counts)
                why.update(problem.detail for problem in hits.refusals.problems)
        if lines != requests + refused.total():
            raise AssertionError(f"{path}: {lines} lines, and {requests + refused.total()} accounted for")
        told = f"{requests:,} requests, {known:,} of a known client, {dict(refused)}"
        print(f"{path.name}: {lines:,} lines, {told}")
        for reason, count in why.most_common(3):
            print(f"    {count}: {reason}")


if __name__ == "__main__":
    main()
