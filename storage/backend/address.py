"""Reads DATABASE_URL."""

from __future__ import annotations

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from storage.backend.errors import DatabaseRefused

INVALID = "DATABASE_URL is not a valid address. It looks like sqlite:///data/anima.db or postgresql://user:password@host/name."
#: What the address of a server may say after its `?`: the schema, where the server is, and what libpq's addresses say
#: there and asyncpg understands. No secrets, since an address is shown in messages.
SCHEMA = "schema"
PLACE = ("host", "port")
PASSED_ON = (
    *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslnegotiation"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version", "target_session_attrs"),
    *("application_name", "options", "user", "dbname", "passfile", "service", "krbsrvname", "gsslib"),
)
#: asyncpg's own name for `sslmode`.
SSL = "ssl"


def read_address(address: str) -> URL:
    """Of SQLite or PostgreSQL. Raises DatabaseRefused, with a message that has no password in it."""
    try:
        url = make_url(address)
    except (ArgumentError, ValueError) as error:  # ValueError: the port is no number
        raise DatabaseRefused(INVALID) from error
    match url.get_backend_name():
        case "sqlite":
            return url
        case "postgresql" | "postgres":
            return _of_server(url)
    raise DatabaseRefused(
        f"DATABASE_URL starts with {url.drivername}://, but only sqlite:// and postgresql:// are supported."
    )


def in_schema(address: str, schema: str) -> str:
    """The address, with its password, of another schema on the same PostgreSQL server. Raises DatabaseRefused."""
    return read_address(address).update_query_dict({SCHEMA: schema}).render_as_string(hide_password=False)


def names_several_hosts(url: URL) -> bool:
    """Whether it has several: `?host=one:1&host=two:2`, or `?host=one,two&port=1,2` as for libpq."""
    hosts = url.query.get("host", ())
    return len(hosts.split(",") if isinstance(hosts, str) else hosts) > 1


def _of_server(url: URL) -> URL:
    if "@" in (url.host or ""):
        raise DatabaseRefused(
            "DATABASE_URL has more than one @ before its server's name. In a password, write @ as %40 (and % as %25)."
        )
    if SSL in url.query:
        url = url.update_query_dict({"sslmode": url.query[SSL]}).difference_update_query([SSL])
    for name, value in url.query.items():
        if name not in (SCHEMA, *PLACE, *PASSED_ON):
            raise DatabaseRefused(
                f"DATABASE_URL has the parameter {name} after its ?, which is not supported. Remove it."
            )
        if name not in PLACE and not isinstance(value, str):
            raise DatabaseRefused(f"DATABASE_URL has the parameter {name} more than once.")
    return url
