"""What callers write (bodies, parameters, filters, ranges of time), read into a `Question`."""
