"""From the bytes of a request to its events, in steps of a bounded length."""
