"""Both clients as users make them: found by their record, with a fallback, closed and reopened."""

from __future__ import annotations

import asyncio
import inspect
import socket
from typing import Any

import pytest

from norman_jupyter import BlockingNorman, Norman, ServerNotFound
from norman_jupyter.client.local_blocking import BlockingLinks
from norman_protocol.frames import decode_frame
from norman_protocol.messages import Invoke, Result, Timings, decode_message, encode_message
from norman_protocol.rest import FRAME_MEDIA_TYPE


def relay(request: Any) -> Any:
    call = decode_message(decode_frame(request.body))
    assert isinstance(call, Invoke)
    result = Result(
        id=call.id,
        invocation_id="over-rest",
        reference="echo@1",
        timings=Timings(),
        values=call.values,
    )
    return 200, {"Content-Type": FRAME_MEDIA_TYPE}, b"".join(encode_message(result))


def test_client_finds_the_server_by_its_record(api, executor, announce) -> None:
    announce(api, executor)
    with BlockingNorman() as norman:
        assert norman.invoke("echo", text="hi").value == "hi"
        assert norman.status().server_id == "server-1"
    assert executor.hellos[0].token == api.token


async def test_asyncio_client_finds_the_server_by_its_record(api, executor, announce) -> None:
    announce(api, executor)
    async with Norman() as norman:
        assert (await norman.invoke("echo", text="hi")).value == "hi"
        assert (await norman.status()).server_id == "server-1"


def test_call_falls_back_to_rest_while_the_executor_is_away(
    api, executor, announce, socket_folder
) -> None:
    path = str(socket_folder / "stale.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left_behind:
        left_behind.bind(path)
    announce(api, executor, socket_path=path)
    api.routes["POST invocations"] = relay
    with BlockingNorman() as norman:
        assert norman.invoke("echo", text="hi").id == "over-rest"


def test_client_follows_a_server_that_was_started_anew(api, executor, announce) -> None:
    announce(api, executor)
    with BlockingNorman() as norman:
        assert norman.status().server_id == "server-1"
        api.token, api.server_id = "new-token", "server-2"
        executor.token, executor.server_id = "new-token", "server-2"
        executor.end_connections()
        announce(api, executor)
        assert norman.status().server_id == "server-2"
        assert norman.invoke("echo", text="hi").value == "hi"


def test_blocking_client_works_inside_a_running_loop(api, executor, announce) -> None:
    announce(api, executor)

    async def cell() -> Any:
        with BlockingNorman() as norman:
            return norman.invoke("echo", text="hi").value, norman.status().server_id

    assert asyncio.run(cell()) == ("hi", "server-1")


def test_asyncio_client_works_on_one_loop_after_another(api, executor, announce) -> None:
    announce(api, executor)
    norman = Norman()

    async def use() -> Any:
        async with norman:
            await norman.status()
            return (await norman.invoke("echo", text="hi")).value

    assert [asyncio.run(use()), asyncio.run(use())] == ["hi", "hi"]


def test_nothing_running_says_how_to_start(api, announce, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "none"))
    with BlockingNorman() as norman, pytest.raises(ServerNotFound, match="norman serve"):
        norman.status()


def test_both_clients_have_the_same_methods() -> None:
    def surface(cls: type) -> dict[str, list[Any]]:
        return {
            name: [
                (parameter.name, parameter.kind, parameter.default)
                for parameter in inspect.signature(member).parameters.values()
            ]
            for name, member in inspect.getmembers(cls, inspect.isfunction)
            if not name.startswith("_") or name == "__init__"
        }

    assert surface(Norman) == surface(BlockingNorman)


def test_closing_twice_does_no_harm() -> None:
    links = BlockingLinks()
    links.close()
    links.close()
    norman = BlockingNorman("http://127.0.0.1:1/")
    norman.close()
    norman.close()
