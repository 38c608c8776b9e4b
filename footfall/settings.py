"""One frozen Settings: `footfall.toml`, then FOOTFALL_* variables, then what the caller passes.

Strict: an unknown name or a wrong value stops the start with a message that names it.
Nothing else in Footfall reads the environment or a configuration file.
"""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal, cast
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from footfall.errors import Misconfigured


def _split(value: object) -> object:
    """FOOTFALL_TRUSTED_PROXIES=10.0.0.0/8,::1 as well as a TOML array."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_split)]


class Settings(BaseSettings):
    """Everything that can be set, with its default. Sizes in bytes, times in seconds."""

    model_config = SettingsConfigDict(
        env_prefix="FOOTFALL_", frozen=True, extra="forbid", toml_file="footfall.toml", env_ignore_empty=True
    )

    # Where
    data: Path = Field(default=Path("footfall-data"), description="The data directory.")
    host: str = Field(default="127.0.0.1", description="Address the door and the console listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="The door's port.")
    console_port: int = Field(default=8001, ge=0, le=65535, description="The console's port.")
    public_url: str = Field(
        default="", description="How the world reaches the door; default http://localhost:PORT."
    )
    console_url: str = Field(
        default="", description="How users reach the console; default http://localhost:CONSOLE_PORT."
    )
    trusted_proxies: Networks = Field(
        default=(), description="Networks whose X-Forwarded-For is believed; none by default."
    )
    admin_key: SecretStr = Field(
        default=SecretStr(""), description="The admin key of the first start, instead of a made one."
    )

    # The door
    redirect_mode: Literal["durable", "async"] = "durable"
    redirect_cap: float = Field(
        default=0.025, gt=0, le=1, description="Longest wait of a redirect for the log."
    )
    max_events: int = Field(default=1000, ge=1, le=4096)
    max_body: int = Field(default=1 << 20, ge=1024)
    max_inflated: int = Field(default=10 << 20, ge=1024)
    max_event: int = Field(default=64 << 10, ge=1024, description="Largest single event, encoded.")
    max_past: float = Field(
        default=7 * 86400, description="Older events become received_at (keys with import excepted)."
    )
    max_future: float = Field(default=300, description="Events further ahead become received_at.")
    cache_links: int = Field(default=100_000, ge=1, description="Links kept in memory at a door.")
    geo_database: Path | None = Field(
        default=None, description="A MaxMind or DB-IP mmdb; default: the CC0 country data of the package."
    )
    asn_database: Path | None = Field(
        default=None,
        description="An mmdb of networks (GeoLite2 ASN, DB-IP ASN), for names of organisations.",
    )

    # The log
    log: Literal["sqlite", "memory"] = "sqlite"
    log_segment: int = Field(default=256 << 20, ge=1 << 16, description="A segment is closed at this size.")
    log_max: int = Field(default=64 << 30, ge=1 << 20, description="The log refuses records above this size.")
    overflow: Literal["refuse", "drop_oldest"] = Field(
        default="refuse",
        description="At log_max: answer 503, or drop the oldest events that are not stored (and count them).",
    )
    log_retention: float = Field(default=7 * 86400, ge=0, description="How long stored records are kept.")

    # The worker and the store
    store: Literal["chdb"] = "chdb"
    store_memory: int = Field(
        default=2 << 30, ge=256 << 20, description="Memory the embedded engine may use."
    )
    batch_rows: int = Field(default=50_000, ge=1, le=1_000_000)
    batch_bytes: int = Field(default=64 << 20, ge=1 << 16)
    batch_age: float = Field(default=1.0, gt=0, le=60, description="A batch is inserted at this age.")
    session_timeout: float = Field(default=1800, gt=0)
    session_memory: int = Field(
        default=1_000_000, ge=1000, description="Visitors whose last session is remembered."
    )
    recent_ids: int = Field(
        default=10_000_000, ge=100_000, description="Client ids remembered, by which resends are recognised."
    )
    recent_ids_window: float = Field(default=86400, gt=0, description="How long they are remembered at most.")
    query_timeout: float = Field(default=30, gt=0, description="Seconds one question may take.")
    query_memory: int = Field(
        default=1 << 30,
        ge=64 << 20,
        description="Memory one question may use, at most half of store_memory; beyond half of that, large "
        "groupings go to disk.",
    )
    query_rows: int = Field(
        default=0, ge=0, description="Rows one question may read; 0: as many as it can in query_timeout."
    )
    query_concurrency: int = Field(
        default=8, ge=1, description="Questions of one key answered at once; others wait, then get 429."
    )
    export_concurrency: int = Field(default=2, ge=1, description="The same of exports.")
    query_cache: int = Field(default=500, ge=0, description="Answers that are remembered.")
    slice_rows: int = Field(
        default=1_000_000,
        ge=1,
        description="Events waiting at which rollups are made of them; at the latest daily.",
    )
    raw_retention: float = Field(
        default=90 * 86400,
        ge=0,
        description="Raw events are kept so long after they occurred or were received, whichever is later; "
        "0: for ever. A site may have another number of days.",
    )
    rollup_retention: float = Field(
        default=0, ge=0, description="Rollups are kept so long, in whole months; 0: for ever."
    )

    # Alerts: see docs/operations.md
    alert_queue_depth: int = Field(
        default=100_000, ge=0, description="Records waiting for the worker above which to alert."
    )
    alert_oldest_age: float = Field(
        default=60, ge=0, description="Age of the oldest waiting record above which to alert."
    )
    alert_disk_free: int = Field(
        default=1 << 30, ge=0, description="Bytes free on the disk of the data below which to alert."
    )
    alert_dead_letters: int = Field(default=0, ge=0, description="Dead letters above which to alert.")

    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @classmethod
    def settings_customise_sources(  # noqa: D102 -- pydantic's hook: the order of the sources
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- no .env files
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- no secrets folder
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def door_url(self) -> str:
        """Base of short URLs, without a trailing slash."""
        return self.public_url.rstrip("/") or f"http://localhost:{self.port}"

    @property
    def console(self) -> str:
        """Base of the console's URLs, without a trailing slash."""
        return self.console_url.rstrip("/") or f"http://localhost:{self.console_port}"

    @property
    def default_domain(self) -> str:
        """Host (with port, if unusual) of short links that name no domain of their own."""
        return urlsplit(self.door_url).netloc.lower()


def load(**given: Any) -> Settings:
    """Read the settings; `given` (command line, tests) wins over all else.

    Raises Misconfigured, naming each wrong setting.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, cast('tuple[Any, ...]', problem['loc'])))}: {problem['msg']}"
            for problem in error.errors()
        ]
        raise Misconfigured("wrong settings:\n  " + "\n  ".join(lines)) from None
