"""Headers that answers of both ports have, so that a browser takes them for what they say they are."""

NOSNIFF = "nosniff"
NO_REFERRER = "no-referrer"
NO_CONTENT = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""The content policy of what is no page: nothing is loaded, run or framed."""
