"""The command line. Each command lives in a file of this folder and is imported when it is called.

Exit status: 0 done, 1 failed, 2 called or set up wrongly, 130 interrupted. A problem is told
in one line, without a stack trace.
"""

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from footfall.cli.terminal import failed
from footfall.errors import FootfallError, Invalid, Misconfigured
from footfall.runtime import logs
from footfall.version import own_version

app = App(
    name="footfall",
    help="Records every click and event of short links, pages and widgets, and answers questions about them.",
    version=own_version,
)
_COMMANDS = {
    "serve": ("cli.roles:serve", "Run everything on this machine: the door, the worker and the console."),
    "demo": ("cli.demo.command:demo", "See it work: real clicks in, figures out, checked."),
    "import": ("cli.import_files:app", "Bring in what was recorded elsewhere."),
    "report": ("cli.report:report", "Show the overview and the top lists of a range."),
    "ledger": ("cli.ledger:ledger", "Show what became of every event received, and whether it adds up."),
    "verify": ("cli.verify:verify", "Compare what is stored with the ledger and the log."),
    "retention": ("cli.retention:retention", "Show what retention will delete, and when."),
    "dead-letters": ("cli.dead_letters:app", "List, retry or discard events that could not be stored."),
    "keys": ("cli.keys:app", "The keys of the workspace: list them, make and revoke them."),
    "sites": ("cli.sites:app", "The sites of the workspace: list them, make, change and delete them."),
    "links": ("cli.links:app", "The short links of the workspace: list them, make, change and delete them."),
    "goals": ("cli.goals:app", "The goals of the workspace: list them, make, change and delete them."),
    "segments": (
        "cli.segments:app",
        "The segments of the workspace: list them, make, change and delete them.",
    ),
    "sql": ("cli.sql:sql", "Answer a SELECT over the events and the views, as CSV."),
    "doctor": ("cli.doctor_command:doctor", "Check this machine and the data directory."),
    "door": ("cli.roles:door", "Run a door only."),
    "worker": ("cli.roles:worker", "Run the worker only."),
    "console": ("cli.roles:console", "Run the console only."),
    "rebuild-state": ("cli.roles:rebuild_state", "Make a lost state.db anew of store and log."),
    "rebuild-store": ("cli.roles:rebuild_store", "Store again what the log holds, where the store is lost."),
    "migrate": ("cli.roles:migrate", "Bring the store's schema up to date."),
}
for _name, (_function, _help) in _COMMANDS.items():
    app.command(f"footfall.{_function}", name=_name, help=_help)
EARLIER = {"collect": "door", "work": "worker", "query": "console"}
"""Commands as they were called in earlier versions: whoever starts them so need not know of it."""
ROLES = frozenset({"serve", *EARLIER, *EARLIER.values()})
"""Commands that are servers: what they write to standard error is a log."""
for _name, _function in EARLIER.items():
    app.command(f"footfall.cli.roles:{_function}", name=_name, show=False)


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit status."""
    try:
        # A command returns its exit status, or None for 0; help and version return None.
        result = app(arguments, exit_on_error=False, print_error=True, result_action="return_value")
    except CycloptsError:
        return 2
    except FootfallError as error:
        field = error.field if isinstance(error, Invalid) else ""
        said = str(error) if str(error).startswith(field) else f"{field}: {error}"
        failed(said, role=next(iter(arguments), "") in ROLES)
        return 2 if isinstance(error, Misconfigured | Invalid) else 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone; Python would complain once more at exit.
        sys.stdout = None  # type: ignore[assignment]  # as Python itself does where there is none
        return 1
    return result if isinstance(result, int) else 0


def main() -> None:
    """The entry point `footfall`."""
    os.umask(0o077)  # whatever is written is its owner's: events, keys, exports
    # Never to standard output, which is the answer. Roles set their own level once they know it.
    logs.configure("info" if sys.argv[1:2] and sys.argv[1] in ROLES else "warning")
    sys.exit(run(sys.argv[1:]))
