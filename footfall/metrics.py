"""Every metric of Footfall, named once, with its unit and meaning.

Each process serves its own at /metrics. Count per request or batch, never per event.
"""

from prometheus_client import Counter, Gauge, Histogram

_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

# The door
EVENTS_ACCEPTED = Counter("footfall_events_accepted", "Events acknowledged as durable.")
EVENTS_REJECTED = Counter("footfall_events_rejected", "Events refused.", ["reason"])
REQUESTS_REJECTED = Counter("footfall_requests_rejected", "Requests refused whole.", ["reason"])
REDIRECTS = Counter("footfall_redirects", "Short codes asked for.", ["outcome"])
CLICKS_PENDING = Counter("footfall_clicks_pending", "Redirects sent before their click was durable.")
CLICKS_WAITING = Gauge("footfall_clicks_waiting", "Clicks in memory that the log has not taken yet.")
CLICKS_UNLOGGED = Counter("footfall_clicks_unlogged", "Clicks that were really lost.")

TOPIC_MALFORMED = Counter(
    "footfall_topic_malformed",
    "Messages of clicks_topic that are no events: dead letters say where they are.",
)

# The HTTP of the door and the console
HTTP_CONNECTIONS = Gauge("footfall_http_connections", "Connections that are open.")
HTTP_HELD_BYTES = Gauge("footfall_http_held_bytes", "Bytes of requests that are not answered yet.")
HTTP_REFUSED = Counter(
    "footfall_http_refused",
    "Requests and connections refused before the application saw them, or given up.",
    ["reason"],
)

# The log
LOG_COMMIT_SECONDS = Histogram("footfall_log_commit_seconds", "One group commit.", buckets=_FAST)
LOG_RECORDS = Counter("footfall_log_records", "Records appended.")
LOG_BYTES = Counter("footfall_log_bytes", "Bytes appended.")
LOG_ERRORS = Counter("footfall_log_errors", "Appends that failed in an unexpected way.")
LOG_DAMAGED = Counter("footfall_log_damaged_records", "Records whose checksum did not match.")
LOG_DROPPED = Counter(
    "footfall_log_dropped_events", 'Acknowledged events dropped from a full log (overflow = "drop_oldest").'
)
LOG_WITNESS_OFF = Gauge(
    "footfall_log_witness_off",
    "Shards of which this process does not note beside the log what became durable, as it cannot now.",
)
LOG_BACKLOG = Gauge("footfall_log_backlog_records", "Records the worker has not stored yet.")
LOG_OLDEST_SECONDS = Gauge("footfall_log_oldest_seconds", "Age of the oldest record not stored yet.")

# Retention
RETENTION_ANNOUNCED = Gauge(
    "footfall_retention_announced_events",
    "Raw events that are deleted the next night, unless a setting changes.",
)
RETENTION_HELD = Gauge(
    "footfall_retention_held_months",
    "Months of sites whose raw events are old enough to go and stay, as their rollups are not in the store.",
)
NIGHTLY_OVERDUE = Gauge(
    "footfall_nightly_overdue", "1 while a job of the night has not succeeded for two days.", ["job"]
)

# The worker
BATCHES = Counter("footfall_batches", "Batches closed.")
EVENTS_STORED = Counter("footfall_events_stored", "Events inserted into the store.")
ENRICH_SECONDS = Histogram("footfall_enrich_seconds", "Decoding and enriching one batch.", buckets=_FAST)
INSERT_SECONDS = Histogram("footfall_insert_seconds", "One insert into the store.", buckets=_FAST)
STORE_ERRORS = Counter("footfall_store_errors", "Inserts that failed or had no certain outcome.")
DEAD_LETTERED = Counter("footfall_dead_lettered", "Events that could not be stored.", ["reason"])
ID_CONFLICTS = Counter("footfall_id_conflicts", "Duplicates whose payload was not that of the first copy.")
WORKER_PAUSED = Gauge("footfall_worker_paused", "1 while too much of what comes in cannot be stored.")
WORKER_NEWER = Gauge(
    "footfall_worker_newer_record", "1 while the worker waits at a record made by a newer version."
)
WORKER_FULL = Gauge("footfall_worker_letters_full", "1 while the worker waits for room for dead letters.")
WORKER_PLANNED_MISSING = Gauge(
    "footfall_worker_planned_missing",
    "1 while the worker waits for records that were planned and are not in the log.",
    ["shard"],
)
STORE_UP = Gauge("footfall_store_up", "1 while the store takes inserts, 0 while its circuit breaker is open.")
LOG_LOST = Gauge(
    "footfall_log_lost_events", "Acknowledged events that were booked as gone from the log in the last day."
)
DAMAGED = Gauge("footfall_damaged", "1 while a database or a part of the store is known to be damaged.")
STORE_ROWS_MISSING = Gauge(
    "footfall_store_rows_missing", "Events that the store had, and had no more when it was opened."
)
RECENT_IDS = Gauge("footfall_recent_ids", "Client-supplied ids remembered, by which resends are recognised.")
RECENT_IDS_WINDOW_SECONDS = Gauge(
    "footfall_recent_ids_window_seconds", "How far back every id that a client with a key sent is remembered."
)
RECENT_IDS_WINDOW_WITHOUT_KEY_SECONDS = Gauge(
    "footfall_recent_ids_window_without_key_seconds", "The same of ids that came without a key."
)

# Rollups
ROLLUP_WAITING = Gauge("footfall_rollup_waiting_events", "Events stored that no rollup has yet.")
ROLLUPS_MISSING = Gauge(
    "footfall_rollups_missing", "Published builds that the store has not, or not all of, by month."
)
ROLLUP_TIMESTAMP = Gauge("footfall_rollup_timestamp_seconds", "When the last slice was published, Unix time.")
ROLLUP_BUILDS = Counter("footfall_rollup_builds", "Builds published, by kind.", ["kind"])
ROLLUP_SECONDS = Histogram(
    "footfall_rollup_seconds",
    "Making one build, by kind.",
    ["kind"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)

# The console
QUERY_SECONDS = Histogram("footfall_query_seconds", "One report.", ["report"], buckets=_FAST)
QUERY_CACHE = Counter("footfall_query_cache_total", "Questions answered anew or from memory.", ["outcome"])
HANG_UPS = Counter("footfall_query_hang_ups", "Questions whose client went before the answer.")
EXPORT_ROWS = Counter("footfall_export_rows", "Rows exported.", ["format"])
EXPORT_BYTES = Counter("footfall_export_bytes", "Bytes exported, before compression on the way.", ["format"])

# What runs beside requests
LOOP_FAILURES = Counter("footfall_loop_failures", "Rounds of a loop that failed, by loop.", ["loop"])
LOOP_SUCCESS = Gauge(
    "footfall_loop_success_timestamp_seconds", "When a round of the loop last went well, Unix time.", ["loop"]
)
LOOPS_IN_TROUBLE = Gauge(
    "footfall_loops_in_trouble", "Loops that fail repeatedly, have not come round in time, or have ended."
)

LOOP_LONGEST_HOLD = Gauge(
    "footfall_loop_longest_hold_seconds", "Longest time for which one callback held the event loop."
)
LOOP_HOLDS = Counter("footfall_loop_holds", "Times that something held the event loop for more than 0.1 s.")

# What is looked after; NaN where this process does not know
DATABASE_DOWN = Gauge(
    "footfall_database_down", "1 while the PostgreSQL database of links or books does not answer.", ["schema"]
)
LETTERS = Gauge("footfall_dead_letters", "Dead letters that are kept, of all workspaces.")
LEDGER_IMBALANCES = Gauge(
    "footfall_ledger_imbalances", "(workspace, site, hour) of the last two days whose books do not balance."
)
DISK_FREE_BYTES = Gauge("footfall_disk_free_bytes", "Bytes free on the disk of the data directory.")
VERIFY_FINDINGS = Gauge("footfall_verify_findings", "Broken promises that the last nightly verify found.")
VERIFY_TIMESTAMP = Gauge("footfall_verify_timestamp_seconds", "When verify last ran at night, Unix time.")
ALERT = Gauge(
    "footfall_alert", "1 while an alert condition holds (docs/operations.md), else 0.", ["condition"]
)
for _gauge in (
    STORE_UP,
    ROLLUP_WAITING,
    ROLLUP_TIMESTAMP,
    LETTERS,
    LEDGER_IMBALANCES,
    DISK_FREE_BYTES,
    VERIFY_FINDINGS,
    VERIFY_TIMESTAMP,
):
    _gauge.set(float("nan"))
