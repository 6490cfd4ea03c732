"""The servers of the tests are real and keep what they promise."""

import socket
from pathlib import Path

import psycopg
import pytest
import redis as redis_client
from botocore.exceptions import ClientError

from tests import servers

pytestmark = pytest.mark.services


def test_postgres_answers_on_its_url(postgres: servers.PostgresServer) -> None:
    with psycopg.connect(postgres.url) as connection:
        row = connection.execute("SELECT current_database(), version()").fetchone()

    assert row is not None
    assert row[0] == postgres.dbname
    assert row[1].startswith("PostgreSQL")


def test_postgres_makes_and_drops_databases(postgres: servers.PostgresServer) -> None:
    name = f"extra_{postgres.dbname}"

    url = postgres.create_database(name)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (n int)")
    postgres.drop_database(name)

    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(url)


def test_redis_answers_on_its_url(redis: str) -> None:
    with redis_client.Redis.from_url(redis) as client:
        assert client.ping()
        client.set("a", "1")
        assert client.get("a") == b"1"
        client.flushdb()


def test_s3_gives_back_what_it_was_given(s3: servers.S3Server) -> None:
    client = s3.client()
    client.put_object(Bucket=s3.bucket, Key="folder/a", Body=b"bytes")

    assert client.get_object(Bucket=s3.bucket, Key="folder/a")["Body"].read() == b"bytes"
    client.delete_object(Bucket=s3.bucket, Key="folder/a")
    client.close()


def test_s3_refuses_a_wrong_signature(s3: servers.S3Server) -> None:
    client = s3.client(secret_key="another")

    with pytest.raises(ClientError) as caught:
        client.put_object(Bucket=s3.bucket, Key="a", Body=b"")

    client.close()
    assert caught.value.response["Error"]["Code"] == "SignatureDoesNotMatch"


def test_a_redis_of_ones_own_ends_with_its_context(tmp_path: Path) -> None:
    with servers.redis_server(tmp_path) as url:
        with redis_client.Redis.from_url(url) as client:
            pid = int(client.info("server")["process_id"])
        assert servers.is_running(pid)

    assert not servers.is_running(pid)


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(servers.ServerFailed, match="Address already in use"):
            servers.start_redis(tmp_path, port=taken.getsockname()[1])
