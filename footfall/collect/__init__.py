"""The door: bytes -> RawEvent -> log -> answer."""
