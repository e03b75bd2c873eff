"""The two HTTP transports against one server: the same behaviour, tested once."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from norman_jupyter.client.discovery import Target
from norman_jupyter.client.effects import Body, HttpAnswer, HttpRequest
from norman_jupyter.client.rest_transport import AsyncioHttp, BlockingHttp
from norman_protocol.errors import (
    BundleInvalid,
    Interrupted,
    RequestInvalid,
    ServerNotFound,
    TimedOut,
)

GET = HttpRequest(method="GET", path="status")


class AsyncioFacade:
    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.http = AsyncioHttp()

    def send(self, target: Target, request: HttpRequest) -> HttpAnswer:
        return self.runner.run(self.http.send(target, request))

    def close(self) -> None:
        self.runner.run(self.http.close())
        self.runner.close()


@pytest.fixture(params=["blocking", "asyncio"])
def http(request: pytest.FixtureRequest) -> Iterator[Any]:
    made: Any = BlockingHttp() if request.param == "blocking" else AsyncioFacade()
    yield made
    made.close()


def make_target(api: Any, **changes: Any) -> Target:
    return Target(**{"url": api.url, "token": api.token, "source": "a test", **changes})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_request_carries_token_and_media_types(http, api) -> None:
    api.routes["POST things"] = lambda request: (201, {"Content-Type": "a/b; c=d"}, b"made")
    request = HttpRequest(
        method="POST", path="things?q=1", body=b"{}", media_type="x/y", accept="a/b"
    )
    answer = http.send(make_target(api), request)
    assert (answer.status, answer.media_type, answer.body) == (201, "a/b", b"made")
    assert answer.url == f"{api.url}norman/api/v1/things"
    (seen,) = api.requests
    assert seen.headers["Authorization"] == f"Bearer {api.token}"
    assert (seen.headers["Content-Type"], seen.headers["Accept"]) == ("x/y", "a/b")
    assert seen.path == "/norman/api/v1/things?q=1"


def test_body_in_pieces_is_sent_with_its_length_and_counted(http, api) -> None:
    api.routes["PUT blob"] = lambda request: (200, {}, b"")
    pieces = [b"a" * 1000, b"", b"b" * 500]
    sent: list[int] = []
    body = Body(size_bytes=1500, open=lambda: iter(pieces), on_sent=sent.append)
    http.send(make_target(api), HttpRequest(method="PUT", path="blob", body=body))
    (seen,) = api.requests
    assert seen.body == b"a" * 1000 + b"b" * 500
    assert seen.headers["Content-Length"] == "1500"
    assert seen.headers["Transfer-Encoding"] is None
    assert sent == [1000, 0, 500]


def test_body_that_fails_on_the_way_raises_its_own_error(http, api) -> None:
    def broken() -> Iterator[bytes]:
        yield b"a"
        raise BundleInvalid("the file changed")

    body = Body(size_bytes=1000, open=broken)
    with pytest.raises(BundleInvalid, match="changed"):
        http.send(make_target(api), HttpRequest(method="PUT", path="blob", body=body))


def test_proxy_never_stands_before_loopback(http, api, monkeypatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    assert http.send(make_target(api), GET).status == 200


def test_redirect_is_not_followed(http, api) -> None:
    api.routes["GET status"] = lambda request: (302, {"Location": "/login"}, b"")
    answer = http.send(make_target(api), GET)
    assert (answer.status, answer.location) == (302, "/login")
    assert len(api.requests) == 1


def test_nobody_there_says_where_and_how_to_go_on(http, api) -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    with pytest.raises(ServerNotFound, match="norman serve") as caught:
        http.send(make_target(api, url=url), GET)
    assert url in caught.value.message


def test_connection_that_ends_before_the_answer_is_an_interruption(http, api) -> None:
    api.answer = lambda request: None
    with pytest.raises(Interrupted, match="before the answer to GET status"):
        http.send(make_target(api), GET)


def test_silence_beyond_the_limit_is_a_timeout(http, api) -> None:
    import threading

    release = threading.Event()

    def slow(request: Any) -> Any:
        release.wait(30)
        return 200, {}, b""

    api.routes["GET status"] = slow
    request = HttpRequest(method="GET", path="status", answer_timeout_s=0.05)
    with pytest.raises(TimedOut) as caught:
        http.send(make_target(api), request)
    release.set()
    assert caught.value.timeout_s == 0.05


def test_token_that_no_header_can_hold_is_refused(http, api) -> None:
    with pytest.raises(RequestInvalid):
        http.send(make_target(api, token="a\r\nX-Evil: 1"), GET)
    assert not api.requests


def test_connection_is_used_again(http, api) -> None:
    for _ in range(3):
        http.send(make_target(api), GET)
    assert len({id(request.connection) for request in api.requests}) == 1
