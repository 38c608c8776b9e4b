"""Files of clicks, one JSON object a line."""
