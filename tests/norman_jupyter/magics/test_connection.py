"""One client per shell, replaced where its server is gone."""

from __future__ import annotations

import pytest

from norman_jupyter.magics.connection import ClientHolder
from norman_protocol.errors import ModelNotFound, ServerNotFound, Unauthenticated


@pytest.fixture
def clients(make_client):
    return [make_client(), make_client()]


@pytest.fixture
def connection(clients):
    waiting = list(clients)
    return ClientHolder(lambda: waiting.pop(0), settings={})


def test_client_is_kept_between_uses(connection, clients):
    connection.use(lambda client: client.status())
    connection.use(lambda client: client.status())
    assert [len(client.calls) for client in clients] == [2, 0]


@pytest.mark.parametrize("failure", [ServerNotFound("gone"), Unauthenticated("another")])
def test_operation_runs_again_with_a_new_client_where_the_server_is_gone(
    failure, connection, clients
):
    connection.use(lambda client: client.status())
    clients[0].failure = failure
    assert connection.use(lambda client: client.status()).model_count == 1
    assert [client.is_closed for client in clients] == [True, False]


def test_new_client_that_finds_no_server_fails_once(connection, clients):
    clients[0].failure = ServerNotFound("none")
    with pytest.raises(ServerNotFound):
        connection.use(lambda client: client.status())
    assert [len(client.calls) for client in clients] == [1, 0]
    assert clients[0].is_closed


def test_other_failures_are_not_repeated(connection, clients):
    connection.use(lambda client: client.status())
    clients[0].failure = ModelNotFound("no")
    with pytest.raises(ModelNotFound):
        connection.use(lambda client: client.status())
    assert [len(client.calls) for client in clients] == [2, 0]


def test_another_server_in_the_environment_makes_another_client(clients):
    settings = {"NORMAN_URL": "http://127.0.0.1:1/"}
    waiting = list(clients)
    connection = ClientHolder(lambda: waiting.pop(0), settings=settings)
    connection.use(lambda client: client.status())
    settings["NORMAN_URL"] = "http://127.0.0.1:2/"
    connection.use(lambda client: client.status())
    assert [client.is_closed for client in clients] == [True, False]


def test_close_is_harmless_when_repeated_and_the_next_use_connects_again(connection, clients):
    connection.close()
    connection.use(lambda client: client.status())
    connection.close()
    connection.close()
    assert clients[0].is_closed
    connection.use(lambda client: client.status())
    assert len(clients[1].calls) == 1
