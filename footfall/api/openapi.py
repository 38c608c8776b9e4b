"""The reports' part of the API documentation (OpenAPI 3.1): parameters, answers, errors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from litestar.openapi.spec import Components, Operation, Parameter, Reference, RequestBody, SecurityScheme
from msgspec import Struct

from footfall.api.problems import refusals
from footfall.query.catalog.fields import PROPERTY
from footfall.query.language.params import Params, filter_parameters, parameters
from footfall.query.reporting.report import Meta, Report

SECURITY: list[dict[str, list[str]]] = [{"key": []}]

QUESTION = {
    "metrics": ["visitors", "events"],
    "dimensions": ["country"],
    "date_range": "30d",
    "order_by": [["events", "desc"]],
    "pagination": {"limit": 10},
}
"""An example of `POST /v1/query`."""

_FILTERS = "filters"
_PROPERTIES = "properties"
_ANY_FILTER = Parameter(
    name="filters",
    param_in="query",
    description="Only events with these values of fields. Each is a parameter of its own in the URL, as in "
    "`country_code=DE,AT`; here all of them are one object, as in "
    '`{"country_code": "DE,AT", "browser": "-Safari"}`. '
    "Values are separated by commas; with a leading `-` those with none of them.",
    schema=cast(
        "Any",
        {
            "type": "object",
            "properties": {each.name: each.schema for each in filter_parameters()},
            "additionalProperties": False,
            "example": {},
        },
    ),
    style="form",
    explode=True,
)
_ANY_PROPERTY = Parameter(
    name="properties",
    param_in="query",
    description=f"Only events with these values of properties, as text: `{PROPERTY}plan=pro,team`, "
    f"`{PROPERTY}plan=-free`.",
    schema=cast(
        "Any",
        {
            "type": "object",
            "propertyNames": {"pattern": f"^{PROPERTY}"},
            "additionalProperties": {"type": "string", "minLength": 1},
            # Without it Swagger UI fills in a property of its own, and the answer is a refusal.
            "example": {},
        },
    ),
    style="form",
    explode=True,
)


def _documented(name: str, schema: dict[str, Any], *, required: bool = False) -> Parameter:
    made = Parameter(
        name=name,
        param_in="query",
        description=schema["description"],
        required=required,
        # JSON schema as it is: Litestar passes dicts through.
        schema=cast("Any", {key: value for key, value in schema.items() if key != "description"}),
    )
    if schema["type"] == "array":  # a,b,c
        made.style, made.explode = "form", False
    return made


COMPONENTS = Components(
    security_schemes={
        "key": SecurityScheme(
            type="http", scheme="bearer", description="An API key, sent as `Authorization: Bearer KEY`."
        )
    },
    parameters={
        _FILTERS: _ANY_FILTER,
        _PROPERTIES: _ANY_PROPERTY,
    },
)


REPORT_REFUSALS = refusals(
    {
        400: "A parameter is unknown or wrong, or the question takes too long.",
        401: "Missing or unknown key.",
        403: "The key may not read.",
        429: "The key asks too much at once; try again after `Retry-After` seconds.",
        503: "The store does not answer; try again after `Retry-After` seconds.",
    }
)
LINK_REFUSALS = REPORT_REFUSALS | refusals({404: "This workspace has no such link."})


def operation_with(params: type[Params], defaults: Mapping[str, str]) -> type[Operation]:
    """An OpenAPI operation that has these parameters and the filters in its query string."""

    @dataclass
    class ReportOperation(Operation):
        def __post_init__(self) -> None:
            in_path = cast("list[Parameter]", self.parameters or [])
            for parameter in in_path:
                parameter.description = "The link's id."
            own = [_documented(*each[:2], required=each.required) for each in parameters(params)]
            self.parameters = [*in_path, *own, *_filters(defaults)]

    return ReportOperation


def operation_asking(example: Mapping[str, Any]) -> type[Operation]:
    """An OpenAPI operation whose body is filled in with a question that has an answer."""

    @dataclass
    class QueryOperation(Operation):
        def __post_init__(self) -> None:
            if isinstance(self.request_body, RequestBody):
                for content in self.request_body.content.values():
                    content.example = example

    return QueryOperation


def answer_of(report: Report[Any]) -> type[Struct]:
    """The type of a report's answer under a name that reads well in the documentation."""
    words = "".join(word.title() for word in report.name.split("_"))
    return msgspec.defstruct(f"{words}Answer", [("data", report.data), ("meta", Meta)])


def _filters(defaults: Mapping[str, str]) -> list[Parameter | Reference]:
    """Those that have a default here, then all of them as one, by reference."""
    return [
        *(
            _documented(each.name, each.schema | {"default": defaults[each.name]})
            for each in filter_parameters()
            if each.name in defaults
        ),
        Reference(f"#/components/parameters/{_FILTERS}"),
        Reference(f"#/components/parameters/{_PROPERTIES}"),
    ]
