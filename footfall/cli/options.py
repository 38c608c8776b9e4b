"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

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
