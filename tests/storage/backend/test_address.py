"""What DATABASE_URL may say, and what it is refused for in a sentence without its password."""

from __future__ import annotations

import pytest

from storage.backend.address import in_schema, names_several_hosts, read_address
from storage.backend.errors import DatabaseRefused, DatabaseTimeouts
from storage.backend.postgresql import postgresql_engine


@pytest.mark.parametrize(
    "address",
    [
        "sqlite:///data/anima.db",
        "postgres://me:hunter2@host/anima",
        "postgresql+psycopg2://me:hunter2@host:5433/anima?sslmode=require",
        "postgresql://me:hunter2@[::1]:5432/anima",
        "postgresql://me:hunt/er#2?@host/anima",
        "postgresql://me@/anima?host=/run/postgresql&port=5433",
        "postgresql://me:hunter2@/anima?host=one:5432&host=two:5432&target_session_attrs=read-write",
    ],
)
def test_these_addresses_are_read(address: str) -> None:
    read_address(address)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("postgresql://me:hunt@er2@host/anima", "write @ as %40"),
        ("postgresql://me:hunter2@host:54x/anima", "not a valid address"),
        ("postgresql://me:hunter2@one:5432,two:5432/anima", "not a valid address"),
        ("postgresql://me:hunter2@host/anima?sslmode=require&channel_binding=require", "the parameter channel_binding"),
        ("postgresql://me@host/anima?password=hunter2", "the parameter password"),
        ("postgresql://me:hunter2@host/anima?sslmode=disable&sslmode=require", "sslmode more than once"),
    ],
)
def test_others_are_refused_in_a_sentence_without_the_password(address: str, said: str) -> None:
    with pytest.raises(DatabaseRefused) as refused:
        read_address(address)
    assert said in str(refused.value)
    assert not any(part in str(refused.value) for part in ("hunter2", "hunt", "er2"))


def test_several_hosts_without_a_port_for_each_are_refused() -> None:
    pytest.importorskip("asyncpg")
    with pytest.raises(DatabaseRefused, match="not a valid address"):
        postgresql_engine(read_address("postgresql://me@/anima?host=one:1&host=two"), DatabaseTimeouts())


def test_another_schema_on_the_same_server_keeps_the_rest_of_the_address() -> None:
    url = read_address(in_schema("postgres://me:p%40ss%2F@host/anima?schema=own&sslmode=require", "other"))
    assert (url.password, url.host, dict(url.query)) == ("p@ss/", "host", {"schema": "other", "sslmode": "require"})


def test_several_hosts_are_told_from_one() -> None:
    one = ("postgresql://host/a", "postgresql:///a?host=/run/postgresql", "sqlite:///a.db")
    several = ("postgresql:///a?host=one:1&host=two:2", "postgresql:///a?host=one,two&port=1,2")
    assert not any(names_several_hosts(read_address(address)) for address in one)
    assert all(names_several_hosts(read_address(address)) for address in several)
