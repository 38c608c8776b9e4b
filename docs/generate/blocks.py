"""What each generated block says, from the lists of the code."""

import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt
from pydantic import BeforeValidator, SecretStr
from pydantic.fields import FieldInfo

from docs.generate import events, metrics
from footfall.cli.app import app
from footfall.model.columns import COLUMNS
from footfall.model.reasons import MEANINGS
from footfall.query.plan.planner import REASONS
from footfall.query.reports import REPORTS
from footfall.setting_errors import bounds
from footfall.setting_values import CENTURY, LARGEST, SizeRange, TimeRange, read_retention, read_url
from footfall.settings import Settings
from footfall.units import spell_size, spell_time

_PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def settings() -> str:
    """Every setting: name, what may be written, default, meaning."""
    fields = Settings.model_fields.items()
    rows = (
        (f"`{name}`", _allowed(field), _default(field), field.description or "") for name, field in fields
    )
    return _table(("setting", "value", "default", "meaning"), rows)


def commands() -> str:
    """Every command with its arguments and options."""
    text = app.generate_docs(output_format="markdown", recursive=True)
    # The usage of a command in a group has in it how this program was called.
    return text[text.index("## footfall ") :].replace(" -m docs.generate", "")


def reports() -> str:
    """Every report: its path and what it answers."""
    rows = (
        (f"`GET {report.path.replace(':str', '')}`", report.title, report.description) for report in REPORTS
    )
    return _table(("path", "report", "what it says"), rows)


def reasons() -> str:
    """Every reason for which an event or a request is refused or lost."""
    return _table(("reason", "meaning"), ((f"`{reason}`", meaning) for reason, meaning in MEANINGS.items()))


def source_reasons() -> str:
    """Every reason for which an answer comes from where it comes from."""
    return _table(("reason", "meaning"), ((f"`{name}`", meaning) for name, meaning in REASONS.items()))


def columns() -> str:
    """Every column of the table `events`."""
    rows = ((f"`{each.name}`", f"`{each.type}`", each.role, each.meaning) for each in COLUMNS)
    return _table(("column", "type", "role", "meaning"), rows)


def contracts() -> str:
    """Who may import whom."""
    found = tomllib.loads(_PYPROJECT.read_text())["tool"]["importlinter"]["contracts"]
    return "\n".join(line for contract in found for line in _contract(contract))


BLOCKS: Mapping[str, Callable[[], str]] = {
    "settings": settings,
    "commands": commands,
    "reports": reports,
    "reasons": reasons,
    "source-reasons": source_reasons,
    "columns": columns,
    "contracts": contracts,
    "envelope": events.envelope,
    "kinds": events.kinds,
    "spellings": events.spellings,
    "limits": events.limits,
    "pixel": events.pixel,
    "metrics": metrics.metrics,
    "dimensions": metrics.dimensions,
    "rollups": metrics.rollups,
    "session-archive": metrics.session_archive,
}


def _contract(contract: Mapping[str, Any]) -> Iterator[str]:
    if contract["type"] == "layers":
        yield "From the top down; a line may import what stands below it. Those that share a line with `|`"
        yield "between them never import each other; with `:` they may.\n"
        yield "```"
        yield from (layer.replace("footfall.", "") for layer in contract["layers"])
        yield "```\n"
    else:
        yield f"**{_sentence(contract['name'])}** {_modules(contract['source_modules'])} may not import"
        yield f"{_modules(contract['forbidden_modules'])}.\n"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _modules(names: Sequence[str]) -> str:
    return ", ".join(f"`{name.removeprefix('footfall.')}`" for name in names)


def _allowed(field: FieldInfo) -> str:
    """What may be written for a setting, with its unit and bounds."""
    for rule in field.metadata:
        match rule:
            case BeforeValidator(func=TimeRange() as time):
                return (
                    f"time, {_range(spell_time(time.least), time.most < CENTURY and spell_time(time.most))}"
                )
            case BeforeValidator(func=SizeRange() as size):
                return (
                    f"size, {_range(spell_size(size.least), size.most < LARGEST and spell_size(size.most))}"
                )
            case BeforeValidator() if rule.func is read_retention:
                return "time, from 1d, or `forever`"
            case BeforeValidator() if rule.func is read_url:
                return "address, as in `https://go.example.com`"
            case _:
                pass
    if get_origin(field.annotation) is Literal:
        return "one of " + ", ".join(f"`{each}`" for each in get_args(field.annotation))
    if any(isinstance(rule, Ge | Gt) for rule in field.metadata):
        return f"number, {' '.join(bounds(field))}"
    return _WORDS[field.annotation]


_WORDS: Mapping[object, str] = {
    bool: "`true` or `false`",
    str: "text",
    SecretStr: "text",
    Path: "path",
    Path | None: "path",
    tuple[IPv4Network | IPv6Network, ...]: "list of networks",
    tuple[str, ...]: "list of origins",
}


def _range(least: str, most: str | Literal[False]) -> str:
    return f"from {least} to {most}" if most else f"from {least}"


def _default(field: FieldInfo) -> str:
    value: Any = field.default
    rules = [rule.func for rule in field.metadata if isinstance(rule, BeforeValidator)]
    if any(isinstance(rule, SizeRange) for rule in rules):
        return f"`{spell_size(value)}`"
    if any(isinstance(rule, TimeRange) or rule is read_retention for rule in rules):
        return f"`{spell_time(value)}`"
    if value in (None, "", ()) or isinstance(value, SecretStr):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
