"""Where a database is: in a file of the data directory, or in a schema of `database` in the settings."""

from pathlib import Path
from typing import Literal, NamedTuple

from footfall.settings import Settings


class PostgresSchema(NamedTuple):
    """A schema of a database; in messages it stands without the URL, which may hold a password."""

    url: str
    schema: str

    def __repr__(self) -> str:
        return f"the schema {self.schema} of the database"

    __str__ = __repr__


Place = Path | PostgresSchema

_SCHEMAS = {"meta": "footfall_meta", "state": "footfall_state"}


def place_of(settings: Settings, name: Literal["meta", "state"]) -> Place:
    """Where links and keys are (`meta`), or the books (`state`)."""
    url = settings.database.get_secret_value()
    return PostgresSchema(url, _SCHEMAS[name]) if url else settings.data / f"{name}.db"
