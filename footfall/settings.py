"""One frozen Settings: `footfall.toml`, then FOOTFALL_* variables, then what the caller passes.

Strict: an unknown name or a wrong value stops the start with a message that names it. What is written
in a file or a variable has its unit ("90d", "64GiB"); Python passes seconds and bytes.
Nothing else in Footfall reads the environment or a configuration file.
"""

import os
import tomllib
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from footfall.errors import Misconfigured
from footfall.model.times import DAY
from footfall.setting_errors import PREFIX, explain, unknown_variables, unreadable
from footfall.setting_values import (
    CENTURY,
    LARGEST,
    SizeRange,
    TimeRange,
    read_networks,
    read_origins,
    read_retention,
    read_url,
)
from footfall.units import FOREVER, spell_size, spell_time

_FILE = Path("footfall.toml")

Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(read_networks)]
Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(read_origins)]
Retention = Annotated[float, BeforeValidator(read_retention)]
Url = Annotated[str, BeforeValidator(read_url)]


def _time(least: float, most: float = CENTURY) -> BeforeValidator:
    """A time of `least` to `most` seconds."""
    return BeforeValidator(TimeRange(least, most))


def _size(least: int, most: int = LARGEST) -> BeforeValidator:
    """A size of `least` to `most` bytes."""
    return BeforeValidator(SizeRange(least, most))


class _Toml(TomlConfigSettingsSource):
    """The file. A number in it is as one in a variable: text, to which a unit may be missing."""

    def __call__(self) -> dict[str, Any]:
        return {
            name: str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
            for name, value in super().__call__().items()
        }


class Settings(BaseSettings):
    """Everything that can be set, with its default. Here sizes are bytes and times seconds."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", toml_file=_FILE, env_ignore_empty=True
    )

    # Where
    data: Path = Field(default=Path("footfall-data"), description="The data directory.")
    host: str = Field(
        default="127.0.0.1",
        description="Address the door listens on, and the console unless console_host is set.",
    )
    port: int = Field(default=8000, ge=0, le=65535, description="The door's port.")
    console_port: int = Field(default=8001, ge=0, le=65535, description="The console's port.")
    console_host: str = Field(
        default="",
        description="Address the console listens on, where it is another than the door's; default: host.",
    )
    public_url: Url = Field(
        default="", description="How the world reaches the door; default http://localhost:PORT."
    )
    console_url: Url = Field(
        default="", description="How users reach the console; default http://localhost:CONSOLE_PORT."
    )
    trusted_proxies: Networks = Field(
        default=(), description="Networks whose X-Forwarded-For is believed; none by default."
    )
    read_origins: Origins = Field(
        default=(),
        description="Origins of pages that may read answers of the console, with a key that has the scope "
        "read alone: https://app.example.com, or * for any; none by default.",
    )
    admin_key: SecretStr = Field(
        default=SecretStr(""), description="The admin key of the first start, instead of a made one."
    )

    # The door
    redirect_mode: Literal["durable", "async"] = Field(
        default="durable",
        description="Whether a redirect waits for the log to take its click (redirect_cap at most), or "
        "not at all.",
    )
    redirect_cap: Annotated[float, _time(0.001, 1)] = Field(
        default=0.025, description="Longest wait of a redirect for the log."
    )
    click_memory: Annotated[int, _size(16 << 20)] = Field(
        default=256 << 20,
        description="Memory for clicks that wait for the log, about; beyond it clicks are lost.",
    )
    max_events: int = Field(default=1000, ge=1, le=4096, description="Events in one request, at most.")
    max_body: Annotated[int, _size(1024)] = Field(
        default=1 << 20, description="Largest body of a request, as it is sent."
    )
    max_inflated: Annotated[int, _size(1024)] = Field(
        default=10 << 20, description="What a compressed body may inflate to."
    )
    max_inflated_public: Annotated[int, _size(1024)] = Field(
        default=1 << 20,
        description="What a compressed body without a key may inflate to: anybody may send one.",
    )
    max_event: Annotated[int, _size(1024)] = Field(
        default=64 << 10, description="Largest single event, encoded."
    )
    max_past: Annotated[float, _time(0)] = Field(
        default=7 * DAY,
        description="Of events that occurred longer ago, occurred_at becomes received_at, unless the key "
        "has the scope admin.",
    )
    max_future: Annotated[float, _time(0)] = Field(
        default=300, description="Of events further in the future, occurred_at becomes received_at."
    )
    connections: int = Field(
        default=10_000,
        ge=16,
        description="Connections of a door or console, at most half of the files it may open; beyond, those "
        "that it has waited for longest are closed.",
    )
    address_connections: int = Field(
        default=1000,
        ge=8,
        description="Connections of one client address (IPv6: /64); trusted_proxies are not limited.",
    )
    request_memory: Annotated[int, _size(1 << 20)] = Field(
        default=48 << 20,
        description="Bytes of requests that are not answered yet and of answers that are not read yet. "
        "Beyond, the oldest of these answers are given up, then requests that are not whole, the oldest "
        "first, get 503.",
    )
    cache_links: int = Field(default=100_000, ge=1, description="Links kept in memory at a door.")
    cache_memory: Annotated[int, _size(1 << 20)] = Field(
        default=128 << 20,
        description="Memory for cached links, about: fewer are kept if their targets are long.",
    )
    geo_database: Path | None = Field(
        default=None, description="A MaxMind or DB-IP mmdb; default: the CC0 country data of the package."
    )
    asn_database: Path | None = Field(
        default=None,
        description="An mmdb of networks (GeoLite2 ASN, DB-IP ASN) beside geo_database: numbers for events, "
        "and names of organisations for reports.",
    )

    hash_routes: bool = Field(
        default=False,
        description="A fragment that is a path (`/#/about`, `/#!/about`) belongs to a page's path; a "
        "campaign may stand behind it.",
    )

    # How long things are kept
    short_retention: bool = Field(
        default=False, description="Take retentions of less than a day, which are refused otherwise."
    )

    # Links, keys and books
    database: SecretStr = Field(
        default=SecretStr(""),
        description="Where links, keys and books are: postgresql://user:password@host/name; default: in the "
        "data directory.",
    )

    # The log
    log: Literal["sqlite", "postgres", "kafka", "memory"] = Field(
        default="sqlite",
        description="Where the log is: in the data directory, in `log_database`, in `kafka_topic`, or in "
        "memory, which is for tests and loses all at a stop.",
    )
    log_database: SecretStr = Field(
        default=SecretStr(""),
        description="With log = postgres, its database: postgresql://user:password@host/name.",
    )
    kafka_brokers: str = Field(default="", description="The first Kafka brokers to ask: host:9092,host:9092.")
    kafka_topic: str = Field(
        default="footfall.events", description="The topic of the log; it is made if it is not there."
    )
    kafka_partitions: int = Field(
        default=12, ge=1, le=1000, description="Partitions of a topic that is made."
    )
    kafka_options: SecretStr = Field(
        default=SecretStr(""),
        description="More of librdkafka's properties, as a JSON object: TLS, SASL, and any other.",
    )
    read_clicks: bool = Field(
        default=False,
        description="The door also takes the JSON clicks that other services write to clicks_topic.",
    )
    clicks_topic: str = Field(
        default="clicks.events",
        description="The Kafka topic of those clicks; who may write there is trusted.",
    )
    events_topic: str = Field(
        default="",
        description="A Kafka topic to which stored events go as JSON, at least once; none by default.",
    )
    log_segment: Annotated[int, _size(1 << 16)] = Field(
        default=256 << 20, description="A segment is closed at this size."
    )
    log_max: Annotated[int, _size(1 << 20)] = Field(
        default=64 << 30, description="Size of the whole log at which it takes no more: see overflow."
    )
    overflow: Literal["refuse", "drop_oldest"] = Field(
        default="refuse",
        description="At log_max: answer 503, or drop the oldest events that are not stored (and count them).",
    )
    log_retention: Retention = Field(
        default=7 * DAY, description="How long the log keeps records that are stored."
    )

    # The worker and the store
    store: Literal["chdb"] = Field(default="chdb", description="Where events are stored.")
    store_memory: Annotated[int, _size(256 << 20)] = Field(
        default=2 << 30, description="Memory the embedded engine may use."
    )
    batch_rows: int = Field(
        default=50_000, ge=1, le=1_000_000, description="A batch is inserted at this number of events."
    )
    batch_bytes: Annotated[int, _size(1 << 16)] = Field(
        default=64 << 20, description="A batch is inserted when its records have this size."
    )
    batch_age: Annotated[float, _time(0.001, 60)] = Field(
        default=1.0, description="A batch is inserted at this age."
    )
    session_timeout: Annotated[float, _time(0.001)] = Field(
        default=1800, description="A visit ends after this time without an event."
    )
    session_memory: int = Field(
        default=1_000_000, ge=1000, description="Visitors whose last session is remembered."
    )
    recent_ids: int = Field(
        default=10_000_000,
        ge=100_000,
        description="Client ids remembered, by which resends are recognised: so many "
        "that came with a key, and as many without.",
    )
    recent_ids_window: Annotated[float, _time(0.001)] = Field(
        default=DAY, description="How long client ids are remembered, at most."
    )
    dead_letter_share: float = Field(
        default=0.2,
        gt=0,
        le=1,
        description="Share of the events of a minute above which the worker waits instead of setting them "
        "aside as dead letters; 1: it never waits.",
    )
    newer_records: Literal["pause", "set_aside"] = Field(
        default="pause",
        description="At a record of the log that a newer version made: wait for the upgrade, or go on and "
        "keep it whole as a dead letter, to be retried then.",
    )
    query_timeout: Annotated[float, _time(0.001)] = Field(
        default=30, description="How long one question may take."
    )
    query_memory: Annotated[int, _size(64 << 20)] = Field(
        default=512 << 20,
        description="Memory one question may use, at most half of store_memory; beyond half of that, large "
        "groupings go to disk. A workspace has query_concurrency times as much.",
    )
    query_rows: int = Field(
        default=0, ge=0, description="Rows one question may read; 0: as many as it can in query_timeout."
    )
    query_concurrency: int = Field(
        default=3, ge=1, description="Questions of one workspace answered at once; others wait, then get 429."
    )
    export_concurrency: int = Field(
        default=2, ge=1, description="Exports of one workspace answered at once; others wait, then get 429."
    )
    query_cache: int = Field(default=500, ge=0, description="Answers that are remembered.")
    slice_rows: int = Field(
        default=1_000_000,
        ge=1,
        description="Events waiting at which rollups are made of them; at the latest daily.",
    )
    raw_retention: Retention = Field(
        default=90 * DAY,
        description="Raw events are kept so long after they occurred or were received, whichever is later; "
        'or "forever". A site may have another number of days.',
    )
    rollup_retention: Retention = Field(
        default=FOREVER, description="Rollups are kept so long, in whole months."
    )

    # Alerts: see docs/operations.md
    alert_queue_depth: int = Field(
        default=100_000, ge=0, description="Records waiting for the worker above which to alert."
    )
    alert_oldest_age: Annotated[float, _time(0)] = Field(
        default=60, description="Age of the oldest waiting record above which to alert."
    )
    alert_disk_free: Annotated[int, _size(0)] = Field(
        default=1 << 30, description="Bytes free on the disk of the data below which to alert."
    )
    alert_dead_letters: int = Field(default=0, ge=0, description="Dead letters above which to alert.")

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least important lines that a process writes to standard error."
    )

    @classmethod
    def settings_customise_sources(  # noqa: D102 -- pydantic's hook: the order of the sources
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- no .env files
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- no secrets folder
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, _Toml(settings_cls)

    @property
    def door_url(self) -> str:
        """Base of short URLs, without a trailing slash."""
        return self.public_url.rstrip("/") or f"http://localhost:{self.port}"

    @property
    def console(self) -> str:
        """Base of the console's URLs, without a trailing slash."""
        return self.console_url.rstrip("/") or f"http://localhost:{self.console_port}"

    @property
    def console_address(self) -> str:
        """The address that the console listens on."""
        return self.console_host or self.host

    @property
    def default_domain(self) -> str:
        """Host (with port, if unusual) of short links that name no domain of their own."""
        return urlsplit(self.door_url).netloc.lower()


def changed(settings: Settings) -> dict[str, str]:
    """What is set otherwise than by default, as it can be written; of secrets only that they are set."""
    found: dict[str, str] = {}
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        if value != field.default:
            found[name] = _spelled(value, field)
    return found


def _spelled(value: Any, field: FieldInfo) -> str:
    for rule in (each.func for each in field.metadata if isinstance(each, BeforeValidator)):
        if isinstance(rule, TimeRange) or rule is read_retention:
            return spell_time(value)
        if isinstance(rule, SizeRange):
            return spell_size(value)
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)  # pyright: ignore[reportUnknownArgumentType] -- networks


def load(**given: Any) -> Settings:
    """Read the settings; `given` (command line, tests) wins over all else: seconds and bytes.

    Raises Misconfigured, with a line for each wrong setting.
    """
    fields = Settings.model_fields
    wrong = unknown_variables(os.environ, fields)
    try:
        if os.path.lexists(_FILE) and not _FILE.is_file():  # what is there is not passed over in silence
            raise FileNotFoundError(0, "it is not a file")
        settings = Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        problems = {problem["loc"][0]: problem for problem in reversed(error.errors())}
        wrong += [explain(problem, fields, _FILE) for problem in reversed(problems.values())]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise Misconfigured(unreadable(_FILE, error)) from None
    else:
        if not wrong:
            return settings
    raise Misconfigured("wrong settings:\n  " + "\n  ".join(wrong))
