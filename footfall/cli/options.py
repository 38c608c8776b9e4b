"""Options that several commands have."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from footfall.errors import Invalid

Data = Annotated[Path | None, Parameter(help="The data directory. [default: footfall-data]")]
Url = Annotated[str | None, Parameter(help="The console's URL, for a server elsewhere.")]
Key = Annotated[str | None, Parameter(env_var="FOOTFALL_KEY", help="A key with the scope admin, with --url.")]

# The second names are those of earlier versions, and of the API.
Start = Annotated[
    str | None, Parameter(name=("--start", "--start-date"), help="First day or time. [default: 30 days ago]")
]
End = Annotated[
    str | None,
    Parameter(name=("--end", "--end-date"), help="Last day, or time (exclusive). [default: today]"),
]
Timezone = Annotated[str | None, Parameter(help="IANA zone of the dates. [default: UTC]")]
ExpiresAt = Annotated[
    str | None, Parameter(help="The day or time from which on it is over. [default: never]")
]


def moment(text: str) -> str:
    """A day or time as the API takes it; without an offset it is of UTC. Raises Invalid."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid(
            "must be a day or a time, as in 2027-01-31 or 2027-01-31T18:00+01:00", field="--expires-at"
        ) from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat()
