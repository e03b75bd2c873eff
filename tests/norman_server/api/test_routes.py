"""Every verb of every route is closed to strangers, before the body is read."""

from __future__ import annotations

import json
import re
import socket
from urllib.parse import urlsplit

import httpx
import pytest

from norman_protocol.rest import API_PATH
from norman_server.api.routes import ROUTES, path_pattern

_OPERATIONS = [
    pytest.param(route, operation, id=f"{operation.verb} {route.path}")
    for route in ROUTES
    for operation in route.operations
]
_HEADERS_ONLY = 1 << 30
"""A body is announced and never sent: who waits for it doesn't answer."""


def address(server, route):
    path = re.sub(r"\{\w+\}", "1" * 64, route.path)
    return f"{server.url}{API_PATH}/{path}"


def send_headers(url, verb, headers, *, body_bytes):
    """Send a request's headers and nothing else; return status and body of the answer."""
    parts = urlsplit(url)
    lines = [f"{verb} {parts.path} HTTP/1.1", f"Host: {parts.netloc}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body_bytes:
        lines.append(f"Content-Length: {body_bytes}")
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as stream:
        stream.sendall("\r\n".join([*lines, "", ""]).encode())
        with stream.makefile("rb") as answer:
            status = int(answer.readline().split()[1])
            received = {}
            while (line := answer.readline().strip()) != b"":
                name, _, value = line.decode().partition(":")
                received[name.lower()] = value.strip()
            # The answer to HEAD tells the length of a body that doesn't come.
            body = b"" if verb == "HEAD" else answer.read(int(received["content-length"]))
    return status, received, body


@pytest.mark.parametrize(("route", "operation"), _OPERATIONS)
@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "token wrong"}]
)
def test_stranger_is_refused_before_the_body(norman_server, route, operation, headers):
    status, received, body = send_headers(
        address(norman_server, route), operation.verb, headers, body_bytes=_HEADERS_ONLY
    )
    assert status == 401
    assert received["content-type"].startswith("application/json")
    assert "location" not in received
    if operation.verb == "HEAD":
        return
    error = json.loads(body)
    assert error["code"] == "unauthenticated"
    assert error["request_id"] == received["x-request-id"]


@pytest.fixture(scope="module")
def browser(norman_server):
    """A client that logged in by Jupyter's token once and has its cookies since."""
    with httpx.Client(trust_env=False, follow_redirects=True) as client:
        answer = client.get(
            f"{norman_server.url}login", params={"token": norman_server.jupyter_token}
        )
        assert client.cookies, answer.text
        yield client


@pytest.mark.parametrize(("route", "operation"), _OPERATIONS)
def test_cookie_alone_changes_nothing(norman_server, browser, route, operation):
    url = address(norman_server, route)
    cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    headers = {"Cookie": cookies, "Origin": norman_server.url.rstrip("/")}
    if operation.verb in {"GET", "HEAD"}:
        status, _, _ = send_headers(
            url, operation.verb, {**headers, "Referer": norman_server.url}, body_bytes=0
        )
        assert status not in {401, 403}
        return
    status, _, body = send_headers(url, operation.verb, headers, body_bytes=_HEADERS_ONLY)
    assert status == 403
    assert json.loads(body)["code"] == "forbidden"


def test_cookie_with_xsrf_token_may_write(norman_server, browser):
    answer = browser.post(
        f"{norman_server.api_url}blobs/missing",
        json={"digests": []},
        headers={"X-XSRFToken": browser.cookies["_xsrf"], "Origin": norman_server.url.rstrip("/")},
    )
    assert answer.status_code == 200


def test_jupyters_token_is_as_good(norman_server):
    for scheme in ("token", "Bearer"):
        answer = httpx.post(
            f"{norman_server.api_url}blobs/missing",
            json={"digests": []},
            headers={"Authorization": f"{scheme} {norman_server.jupyter_token}"},
            trust_env=False,
        )
        assert answer.status_code == 200


def test_extensions_token_opens_nothing_else_of_jupyter(norman_server):
    answer = httpx.get(
        f"{norman_server.url}api/contents",
        headers={"Authorization": f"Bearer {norman_server.token}"},
        trust_env=False,
    )
    assert answer.status_code == 403


def test_foreign_host_name_is_refused(norman_server):
    with norman_server.client(Host="evil.example") as client:
        answer = client.get("status")
    assert answer.status_code == 403
    assert answer.json()["code"] == "forbidden"


@pytest.mark.parametrize("verb", ["DELETE", "PATCH", "HEAD", "GET", "PUT", "POST"])
@pytest.mark.parametrize("route", ROUTES, ids=[route.path for route in ROUTES])
def test_other_verbs_are_refused_in_json(norman_server, route, verb):
    if verb in route.verbs:
        return
    with norman_server.client() as client:
        answer = client.request(verb, address(norman_server, route))
        assert answer.status_code == 405
        assert answer.headers["allow"] == ", ".join(route.verbs)
        if verb != "HEAD":
            assert answer.json()["code"] == "request_invalid"
        assert client.get("status").status_code == 200


def test_length_of_thousands_of_digits_is_refused_before_who_sent_it_is_known(norman_server):
    host, port = norman_server.url.removeprefix("http://").rstrip("/").split(":")
    for token, status in (("", b"401"), (norman_server.token, b"413")):
        with socket.create_connection((host, int(port))) as stream:
            stream.sendall(
                f"POST /norman/api/v1/invocations HTTP/1.1\r\nHost: {host}:{port}\r\n"
                f"Authorization: Bearer {token}\r\nContent-Length: {'9' * 5000}\r\n\r\n".encode()
            )
            assert stream.recv(4096).split()[1] == status


def test_path_is_repeated_as_it_came(norman_server):
    with norman_server.client() as client:
        assert "/a%25b" in client.get("a%25b").json()["message"]


@pytest.mark.parametrize("path", ["nothing", "models/", "../v2/status", "models/a/b/c/d/e"])
def test_unknown_route_is_answered_in_json(norman_server, path):
    with norman_server.client() as client:
        answer = client.get(path)
    assert answer.status_code == 404
    assert answer.json()["code"] == "route_not_found"
    stranger = httpx.get(f"{norman_server.api_url}{path}", trust_env=False)
    assert stranger.status_code == 401


def test_patterns_keep_segments_apart():
    pattern = re.compile(path_pattern("models/{name}/versions"))
    assert pattern.fullmatch("/norman/api/v1/models/digits/versions")
    assert not pattern.fullmatch("/norman/api/v1/models/a/b/versions")
