"""How commands name what questions name: by its id or its name."""

from footfall.cli.console_client import Console
from footfall.errors import Invalid

_SHOWN = 20  # names in a message


async def saved_id(server: Console, path: str, which: str) -> str:
    """The id of the goal or segment that has this id or, alone, this name. Raises Invalid."""
    there = await server.every(path)
    found = [each["id"] for each in there if each["id"] == which]
    found = found or [each["id"] for each in there if each["name"] == which]
    if len(found) != 1:
        kind = path.rpartition("/")[2].removesuffix("s")
        known = ", ".join(f"{each['id']} ({each['name']})" for each in there[:_SHOWN]) or "none"
        raise Invalid(f"no {kind} has this id, or not exactly one this name; there are {known}", field=which)
    return found[0]
