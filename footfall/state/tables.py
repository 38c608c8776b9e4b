"""The tables of the state database."""

from collections.abc import Sequence

import sqlalchemy as sa

from footfall.database import Database, Migration, Place

METADATA = sa.MetaData()
# Only another meaning of what is there needs a migration: tables that are missing are made when it is opened.
MIGRATIONS: Sequence[Migration] = ()

# A shard's id is an unsigned 64-bit number, which SQL has no type for: 16 hex digits, as in
# the name of its directory.
positions = sa.Table(
    "positions",
    METADATA,
    sa.Column("shard", sa.String(16), primary_key=True),
    sa.Column("offset", sa.BigInteger, nullable=False),
)

# Ranges of a shard's offsets, both ends included: what of them is gone from the log was booked as lost.
lost_ranges = sa.Table(
    "lost_ranges",
    METADATA,
    sa.Column("shard", sa.String(16), primary_key=True),
    sa.Column("first", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("last", sa.BigInteger, nullable=False),
)

# How many events were booked as lost so, and when (Unix seconds): for the alert, also after a restart.
losses_booked = sa.Table(
    "losses_booked",
    METADATA,
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("events", sa.BigInteger, nullable=False),
)

# One row: where the newest row (by occurred_at, ms) of the last batch is that stored any. See stored_row.py.
last_stored = sa.Table(
    "last_stored",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("shard", sa.String(16), nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("occurred_at", sa.BigInteger, nullable=False),
)

# How far the shards were closed (JSON: offset by shard) at the first look on each day. See closings.py.
closings = sa.Table(
    "closings",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("offsets", sa.Text, nullable=False),
)

# A plan is written whole and read whole, so it is one JSON document.
plans = sa.Table(
    "plans",
    METADATA,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)

# What became of the events of a workspace, by hour of receipt (ms since 1970 UTC). The hour
# comes before the site: questions are about ranges of hours.
ledger = sa.Table(
    "ledger",
    METADATA,
    sa.Column("workspace_id", sa.String(64), primary_key=True),
    sa.Column("hour", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("site_id", sa.String(64), primary_key=True),
    sa.Column("outcome", sa.String(16), primary_key=True),
    sa.Column("reason", sa.String(64), primary_key=True),
    sa.Column("backfilled", sa.Boolean, primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# When the oldest event came (ms) that could make one received in the hour a duplicate: how far back the
# worker's ids reached when it looked at that. See ids_known.py.
ids_known = sa.Table(
    "ids_known",
    METADATA,
    sa.Column("hour", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("since", sa.BigInteger, nullable=False),
)

# Where in the log what was received in the hour lies. See hours_logged.py.
hours_logged = sa.Table(
    "hours_logged",
    METADATA,
    sa.Column("hour", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("shard", sa.String(16), primary_key=True),
    sa.Column("first", sa.BigInteger, nullable=False),
    sa.Column("last", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# What is stored and is not in `events_topic` yet. See outgoing.py.
outgoing = sa.Table(
    "outgoing",
    METADATA,
    sa.Column("shard", sa.String(16), primary_key=True),
    sa.Column("first", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("last", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

dead_letters = sa.Table(
    "dead_letters",
    METADATA,
    sa.Column("shard", sa.String(16), primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("workspace_id", sa.String(64), nullable=False),
    sa.Column("site_id", sa.String(64), nullable=False),
    sa.Column("hour", sa.BigInteger, nullable=False),
    sa.Column("backfilled", sa.Boolean, nullable=False),
    sa.Column("events", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.String(64), nullable=False),
    sa.Column("detail", sa.String(200), nullable=False),
    sa.Column("failed_at", sa.BigInteger, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("status", sa.String(8), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sa.Index("dead_letters_by_workspace", "workspace_id", "failed_at", "shard", "seq"),
    # What the worker asks every second, and what the limits are about, without the payloads.
    sa.Index("dead_letters_by_status", "status", "digest", "size"),
)

# Where the letters were that somebody discarded: events of the log that are stored nowhere. `whole`: all
# of that record. Kept for as long as the ids of the log's records may be read again.
discarded_letters = sa.Table(
    "discarded_letters",
    METADATA,
    sa.Column("shard", sa.String(16), primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("whole", sa.Boolean, nullable=False),
    sa.Column("discarded_at", sa.BigInteger, nullable=False, index=True),
    sqlite_with_rowid=False,
)

# Where the letters were that were stored by a retry: their ids are younger than their records of the log.
retried_letters = sa.Table(
    "retried_letters",
    METADATA,
    sa.Column("shard", sa.String(16), primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("stored_at", sa.BigInteger, nullable=False, index=True),
    sqlite_with_rowid=False,
)

leases = sa.Table(
    "leases",
    METADATA,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("owner", sa.String(200), nullable=False),
    sa.Column("fence", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
)

salts = sa.Table(
    "salts",
    METADATA,
    sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("salt", sa.LargeBinary, nullable=False),
)


# Runs of lines of imported files: digests under the workspace's key, kept for ever. See imported_files.py.
imported_runs = sa.Table(
    "imported_runs",
    METADATA,
    sa.Column("workspace_id", sa.String(64), primary_key=True),
    sa.Column("scope", sa.String(200), primary_key=True),
    sa.Column("start", sa.LargeBinary(16), primary_key=True),
    sa.Column("lines", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("digest", sa.LargeBinary(16), nullable=False),
    sa.Column("imported_at", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

import_salts = sa.Table(
    "import_salts",
    METADATA,
    sa.Column("created_at", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("salt", sa.LargeBinary, nullable=False),
)

# Rollups (see builds.py). One row: `version` grows with each change of what an answer is made of.
rollup_head = sa.Table(
    "rollup_head",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("next_build", sa.BigInteger, nullable=False),
    sa.Column("sliced_at", sa.BigInteger, nullable=False),
)

# Published parts of the rollups; `retired_at` (ms) is 0 while they count.
rollup_entries = sa.Table(
    "rollup_entries",
    METADATA,
    sa.Column("build", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("month", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("retired_at", sa.BigInteger, nullable=False),
    sa.Column("level", sa.Integer, nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("first", sa.BigInteger, nullable=False),
    sa.Column("last", sa.BigInteger, nullable=False),
    sa.Column("cubes", sa.Text, nullable=False),
)

# What is being built now, or was when a process ended: one JSON document.
rollup_building = sa.Table(
    "rollup_building",
    METADATA,
    sa.Column("build", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("body", sa.Text, nullable=False),
)

# For each shard the last position that is in the rollups, but for those of letters.
rollup_watermarks = sa.Table(
    "rollup_watermarks",
    METADATA,
    sa.Column("shard", sa.String(16), primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
)

# Positions at or below the watermark whose rows came later: of dead letters that were retried.
rollup_late = sa.Table(
    "rollup_late",
    METADATA,
    sa.Column("shard", sa.String(16), primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
)

# The zone whose days a site's rollups have, from its first slice on.
rollup_zones = sa.Table(
    "rollup_zones",
    METADATA,
    sa.Column("site_id", sa.String(64), primary_key=True),
    sa.Column("timezone", sa.String(64), nullable=False),
    sa.Column("step_ms", sa.Integer, nullable=False),
)

# Of these sites retention deleted raw events that occurred before `at`; none received since `received`
# (both ms).
raw_deleted = sa.Table(
    "raw_deleted",
    METADATA,
    sa.Column("site_id", sa.String(64), primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("received", sa.BigInteger, nullable=False),
)

# What of `raw_deleted` is of which build of visits whose events are about to go, so that it can be taken back
# until that is begun; build 0: of all that was begun.
deletions_prepared = sa.Table(
    "deletions_prepared",
    METADATA,
    sa.Column("build", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("site_id", sa.String(64), primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("received", sa.BigInteger, nullable=False),
)

# Of these sites events that occurred before `at` (ms) were lost with a store, and what rollups said of them.
events_lost = sa.Table(
    "events_lost",
    METADATA,
    sa.Column("workspace_id", sa.String(64), primary_key=True),
    sa.Column("site_id", sa.String(64), primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
)

# Deletions of raw events, each with what it kept of their visits: a build of the table `visits`. `body`
# says which events go; it is empty once they are gone.
visits_kept = sa.Table(
    "visits_kept",
    METADATA,
    sa.Column("build", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("month", sa.Integer, nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("fields", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)

# One row: retention deleted rollups whose bucket begins before `at` (ms).
rollups_deleted = sa.Table(
    "rollups_deleted",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.BigInteger, nullable=False),
)

# Days (UTC, Unix seconds // 86400) on which the clock was seen, the last few, and when first (Unix seconds).
# See days_seen.py.
days_seen = sa.Table(
    "days_seen",
    METADATA,
    sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.BigInteger, nullable=False),
)

# One row: the clocks when the last of those days was taken down. See days_seen.py.
days_seen_last = sa.Table(
    "days_seen_last",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("boot", sa.Text, nullable=False),
    sa.Column("wall", sa.Float, nullable=False),
    sa.Column("elapsed", sa.Float, nullable=False),
)

# What retention deletes for ever once another night has come: raw events of a site that occurred in a month
# (YYYYMM), or rollups of a month (`site_id` is empty). `at`: when it was announced (Unix seconds).
deletions_announced = sa.Table(
    "deletions_announced",
    METADATA,
    sa.Column("what", sa.String(8), primary_key=True),
    sa.Column("month", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("site_id", sa.String(64), primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
)

# How many days raw events of a site are kept, where that is not as in the settings; 0: for ever.
raw_days = sa.Table(
    "raw_days",
    METADATA,
    sa.Column("site_id", sa.String(64), primary_key=True),
    sa.Column("days", sa.Integer, nullable=False),
)

# What doors that ended had lost, and is booked: each once.
booked_losses = sa.Table(
    "booked_losses",
    METADATA,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
)


def open_state(place: Place) -> Database:
    """Open or create the state database (`DATA/state.db`). Raises as `Database.open`."""
    return Database.open(place, METADATA, MIGRATIONS)
