"""What can be asked for: fields, metrics, and the names of countries and networks."""
