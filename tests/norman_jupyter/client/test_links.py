"""The two fast paths against one executor: the same behaviour, tested once."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import pytest

from norman_jupyter.client.discovery import Target
from norman_jupyter.client.effects import Exchange
from norman_jupyter.client.local import LinkUnavailable
from norman_jupyter.client.local_asyncio import AsyncioLinks
from norman_jupyter.client.local_blocking import BlockingLinks
from norman_protocol.arrays import array_to_value, value_to_array
from norman_protocol.errors import (
    Interrupted,
    PayloadTooLarge,
    ProtocolViolation,
    TimedOut,
    Unauthenticated,
)
from norman_protocol.messages import Cancel, Failure, Invoke, Message, Result
from norman_protocol.values import Value

TEXT = {"text": Value(kind="text", buffer=b"hello")}


class Links(Protocol):
    def exchange(self, call: Exchange) -> Message: ...


class AsyncioFacade:
    """The asyncio links on a loop of their own, which runs only during a call."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.links = AsyncioLinks()

    def exchange(self, call: Exchange) -> Message:
        return self.runner.run(self.links.exchange(call))

    def close(self) -> None:
        self.runner.run(self.links.close())
        self.runner.close()


@pytest.fixture(params=["blocking", "asyncio"])
def links(request: pytest.FixtureRequest) -> Iterator[Links]:
    made: Any = BlockingLinks() if request.param == "blocking" else AsyncioFacade()
    yield made
    made.close()


def make_target(executor: Any, **changes: Any) -> Target:
    facts = {"url": "http://127.0.0.1:1/", "token": executor.token, "server_id": executor.server_id}
    return Target(**{**facts, "socket_path": executor.path, **changes})


def make_call(
    executor: Any, call_id: str = "1", values: Any = TEXT, wait_s: float = 60.0, **changes: Any
) -> Exchange:
    message = Invoke(id=call_id, reference="echo", values=values)
    return Exchange(target=make_target(executor, **changes), message=message, wait_s=wait_s)


def text_of(answer: Message) -> str:
    assert isinstance(answer, Result)
    return bytes(answer.values["text"].buffer).decode()


def test_call_is_answered_over_one_connection_that_is_used_again(links, executor) -> None:
    answers = [links.exchange(make_call(executor, str(number))) for number in range(3)]
    assert [answer.id for answer in answers] == ["0", "1", "2"]
    assert text_of(answers[0]) == "hello"
    assert len(executor.hellos) == 1
    assert executor.hellos[0].role == "kernel"


def test_failure_of_a_call_leaves_the_connection_usable(links, executor) -> None:
    executor.on_call = lambda peer, call: peer.fail(call.id, "model_not_found")
    answer = links.exchange(make_call(executor))
    assert isinstance(answer, Failure)
    links.exchange(make_call(executor, "2"))
    assert len(executor.hellos) == 1


@pytest.mark.parametrize("megabytes", [0.5, 5.0])
def test_arrays_come_back_as_they_were_sent(links, executor, megabytes: float) -> None:
    array = np.random.default_rng(7).random(int(megabytes * (1 << 17)))
    answer = links.exchange(make_call(executor, values={"x": array_to_value(array)}))
    np.testing.assert_array_equal(value_to_array(answer.values["x"]), array)


def test_many_values_fit_one_call(links, executor) -> None:
    values = {f"x{number}": Value(kind="text", buffer=b"%d" % number) for number in range(2000)}
    answer = links.exchange(make_call(executor, values=values))
    assert bytes(answer.values["x1999"].buffer) == b"1999"


def test_executor_that_ends_mid_call_interrupts_it_and_is_not_asked_twice(links, executor) -> None:
    executor.on_call = lambda peer, call: peer.end()
    with pytest.raises(Interrupted, match="call again"):
        links.exchange(make_call(executor))
    assert executor.received.qsize() == 1


def test_executor_that_ends_inside_its_answer_interrupts_the_call(links, executor) -> None:
    def half_an_answer(peer: Any, call: Invoke) -> None:
        peer.send_bytes(b"NRMN\xff\x00\x00\x00")
        peer.end()

    executor.on_call = half_an_answer
    with pytest.raises(Interrupted):
        links.exchange(make_call(executor))


def test_connection_that_ended_while_idle_is_replaced_without_a_word(links, executor) -> None:
    links.exchange(make_call(executor, "1"))
    executor.end_connections()
    assert text_of(links.exchange(make_call(executor, "2"))) == "hello"
    assert len(executor.hellos) == 2


def test_answer_that_is_no_frame_is_a_violation_and_the_next_call_works(links, executor) -> None:
    executor.on_call = lambda peer, call: peer.send_bytes(b"HTTP/1.1 200 OK\r\n\r\n")
    with pytest.raises(ProtocolViolation):
        links.exchange(make_call(executor))
    executor.on_call = lambda peer, call: peer.echo(call)
    assert text_of(links.exchange(make_call(executor, "2"))) == "hello"


def test_reason_for_ending_the_connection_is_told(links, executor) -> None:
    executor.on_call = lambda peer, call: peer.fail("", "payload_too_large", "too large")
    with pytest.raises(PayloadTooLarge, match="too large"):
        links.exchange(make_call(executor))


def test_missing_socket_is_no_link(links, executor, tmp_path) -> None:
    call = make_call(executor, socket_path=str(tmp_path / "gone.sock"))
    with pytest.raises(LinkUnavailable):
        links.exchange(call)


def test_socket_nobody_listens_at_is_no_link(links, executor, socket_folder) -> None:
    path = str(socket_folder / "stale.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left_behind:
        left_behind.bind(path)
    with pytest.raises(LinkUnavailable, match="refused"):
        links.exchange(make_call(executor, socket_path=path))


def test_socket_path_too_long_for_the_system_is_no_link(links, executor) -> None:
    with pytest.raises(LinkUnavailable):
        links.exchange(make_call(executor, socket_path="/tmp/" + "x" * 200))


def test_refused_token_is_no_link_and_says_so(links, executor) -> None:
    with pytest.raises(LinkUnavailable) as caught:
        links.exchange(make_call(executor, token="wrong"))
    assert isinstance(caught.value.refusal, Unauthenticated)


def test_executor_that_ends_before_its_welcome_is_no_link_and_refused_nothing(
    links, executor
) -> None:
    executor.dying = True
    with pytest.raises(LinkUnavailable, match="no welcome") as caught:
        links.exchange(make_call(executor))
    assert caught.value.refusal is None
    executor.dying = False
    assert text_of(links.exchange(make_call(executor, "2"))) == "hello"


def test_executor_of_another_server_gets_no_call(links, executor) -> None:
    with pytest.raises(LinkUnavailable, match="another server"):
        links.exchange(make_call(executor, server_id="server-2"))
    assert executor.received.empty()


def test_protocol_that_is_not_spoken_here_is_no_link(links, executor) -> None:
    executor.protocol = 99
    with pytest.raises(LinkUnavailable, match="protocol"):
        links.exchange(make_call(executor))


def test_executor_that_keeps_no_deadline_is_given_up_and_told(links, executor) -> None:
    executor.on_call = lambda peer, call: None
    with pytest.raises(TimedOut):
        links.exchange(make_call(executor, "slow", wait_s=0.01))
    executor.wait_taken_back("slow")


def test_calls_of_several_threads_each_get_their_own_answer(executor) -> None:
    links = BlockingLinks()
    found: dict[str, str] = {}

    def call(text: str) -> None:
        values = {"text": Value(kind="text", buffer=text.encode())}
        for number in range(20):
            found[f"{text}{number}"] = text_of(
                links.exchange(make_call(executor, f"{text}{number}", values))
            )

    threads = [threading.Thread(target=call, args=(text,)) for text in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    links.close()
    assert len(found) == 80
    assert all(key[0] == text for key, text in found.items())
    assert len(executor.hellos) <= 4


def test_ctrl_c_takes_a_blocking_call_back(executor) -> None:
    executor.on_call = lambda peer, call: os.kill(os.getpid(), signal.SIGINT)
    links = BlockingLinks()
    with pytest.raises(KeyboardInterrupt):
        links.exchange(make_call(executor, "long"))
    executor.wait_taken_back("long")
    executor.on_call = lambda peer, call: peer.echo(call)
    assert text_of(links.exchange(make_call(executor, "next"))) == "hello"
    links.close()


async def test_calls_at_once_share_a_connection_and_may_be_answered_in_any_order(executor) -> None:
    held: list[Invoke] = []

    def answer_backwards(peer: Any, call: Invoke) -> None:
        held.append(call)
        if len(held) == 10:
            for waiting in reversed(held):
                peer.echo(waiting)

    executor.on_call = answer_backwards
    links = AsyncioLinks()
    answers = await asyncio.gather(
        *(links.exchange(make_call(executor, f"call-{number}")) for number in range(10))
    )
    assert [answer.id for answer in answers] == [f"call-{number}" for number in range(10)]
    assert len(executor.hellos) == 1
    await links.close()


async def test_cancelled_call_is_taken_back_and_the_others_go_on(executor) -> None:
    executor.on_call = lambda peer, call: peer.echo(call) if call.id == "short" else None
    links = AsyncioLinks()
    task = asyncio.create_task(links.exchange(make_call(executor, "long")))
    assert (await asyncio.to_thread(executor.next_message)).id == "long"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(executor.next_message) == Cancel(id="long")
    assert text_of(await links.exchange(make_call(executor, "short"))) == "hello"
    assert len(executor.hellos) == 1
    await links.close()


async def test_large_call_cancelled_inside_its_frame_harms_no_other(executor) -> None:
    release = threading.Event()
    executor.on_call = lambda peer, call: release.wait(30) and peer.echo(call)
    links = AsyncioLinks()
    small = asyncio.create_task(links.exchange(make_call(executor, "small")))
    assert (await asyncio.to_thread(executor.next_message)).id == "small"
    array = np.zeros(64 << 17)
    large = asyncio.create_task(
        links.exchange(make_call(executor, "large", {"x": array_to_value(array)}))
    )
    await asyncio.to_thread(executor.wait_hellos, 2)
    large.cancel()
    with pytest.raises(asyncio.CancelledError):
        await large
    release.set()
    assert text_of(await small) == "hello"
    await links.close()
    assert all(message.id != "large" for message in list(executor.received.queue))


def test_child_after_fork_makes_its_own_connection(executor) -> None:
    script = f"""
        import os, sys
        from norman_jupyter.client.discovery import Target
        from norman_jupyter.client.effects import Exchange
        from norman_jupyter.client.local_blocking import BlockingLinks
        from norman_protocol.messages import Invoke, Result

        target = Target(url="", token={executor.token!r}, server_id={executor.server_id!r},
                        socket_path={executor.path!r})
        links = BlockingLinks()

        def call(name):
            message = Invoke(id=name, reference="echo")
            answer = links.exchange(Exchange(target=target, message=message, wait_s=30.0))
            assert isinstance(answer, Result) and answer.id == name

        call("before")
        child = os.fork()
        call("child" if child == 0 else "parent")
        if child == 0:
            os._exit(0)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=60)
    assert len(executor.hellos) == 2
