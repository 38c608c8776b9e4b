"""HTTP/1.1 for both ports, within bounds (docs/decisions/0010-http.md)."""
