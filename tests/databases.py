"""Where an installation has its databases: the same for a test, its children, and another connection."""

import os

import psycopg


def variables(settings):
    """The environment in which `load()` finds the same data and databases."""
    return os.environ | {
        "FOOTFALL_DATA": str(settings.data),
        "FOOTFALL_DATABASE": settings.database.get_secret_value(),
    }


def empty(url):
    """Leave the tables of links and books as new ones are; whoever is connected is thrown out."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid != pg_backend_pid()"
        )
        tables = connection.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
            " WHERE schemaname LIKE 'footfall_%' AND tablename != 'schema_version'"
        ).fetchall()
        for (table,) in tables:
            connection.execute(f"DELETE FROM {table}")
