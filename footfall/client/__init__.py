"""The Python client of Footfall: track events, ask questions. Guide: docs/client.md.

from footfall.client import Client

with Client("https://t.example.com", key=KEY) as client:
    client.track("signup", {"plan": "team"})
"""

from footfall.client.aio import AsyncClient
from footfall.client.core import Limits, Rejection, Stats
from footfall.client.result import Result
from footfall.client.sync import Client
from footfall.errors import Conflict, Denied, FootfallError, Invalid, Misconfigured, NotFound, Retryable

__all__ = [
    "AsyncClient",
    "Client",
    "Conflict",
    "Denied",
    "FootfallError",
    "Invalid",
    "Limits",
    "Misconfigured",
    "NotFound",
    "Rejection",
    "Result",
    "Retryable",
    "Stats",
]
