"""The reports' part of the API documentation (OpenAPI 3.1): parameters, answers, errors."""

from dataclasses import dataclass
from typing import Any, cast

import msgspec
from litestar.openapi.spec import Components, Operation, Parameter, SecurityScheme
from msgspec import Struct

from footfall.problems_litestar import refusals
from footfall.query.params import Params, parameters
from footfall.query.report import Meta, Report

SECURITY: list[dict[str, list[str]]] = [{"key": []}]

COMPONENTS = Components(
    security_schemes={
        "key": SecurityScheme(
            type="http", scheme="bearer", description="An API key, sent as `Authorization: Bearer KEY`."
        )
    }
)


REPORT_REFUSALS = refusals(
    {
        400: "A parameter is unknown or wrong, or the question takes too long.",
        401: "There is no key, or nobody knows it.",
        403: "The key may not read.",
        503: "The store does not answer; try again after `Retry-After` seconds.",
    }
)
LINK_REFUSALS = REPORT_REFUSALS | refusals({404: "This workspace has no such link."})


def operation_with(kind: type[Params]) -> type[Operation]:
    """An OpenAPI operation that has the parameters of `kind` in its query string."""

    @dataclass
    class ReportOperation(Operation):
        def __post_init__(self) -> None:
            in_path = cast("list[Parameter]", self.parameters or [])
            for parameter in in_path:
                parameter.description = "The link's id."
            self.parameters = [*in_path, *_query_parameters(kind)]

    return ReportOperation


def answer_of(report: Report[Any]) -> type[Struct]:
    """The type of a report's answer under a name that reads well in the documentation."""
    words = "".join(word.title() for word in report.name.split("_"))
    return msgspec.defstruct(f"{words}Answer", [("data", report.data), ("meta", Meta)])


def _query_parameters(kind: type[Params]) -> list[Parameter]:
    made: list[Parameter] = []
    for name, schema in parameters(kind):
        described = Parameter(
            name=name,
            param_in="query",
            description=schema["description"],
            # JSON schema as it is: Litestar passes dicts through.
            schema=cast("Any", {key: value for key, value in schema.items() if key != "description"}),
        )
        if schema["type"] == "array":  # a,b,c
            described.style, described.explode = "form", False
        made.append(described)
    return made
