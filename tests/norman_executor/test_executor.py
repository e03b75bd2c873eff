"""The executor process, end to end: calls, failures, kills and what is recorded of them."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from norman_protocol.arrays import object_to_value, value_to_object
from norman_protocol.errors import (
    Cancelled,
    Conflict,
    InputInvalid,
    InternalError,
    Interrupted,
    InvocationNotFound,
    LoadFailed,
    ModelFailed,
    ModelNotFound,
    NotReady,
    ProtocolViolation,
    QueueFull,
    ReplicaDied,
    RequestInvalid,
    TimedOut,
    Unauthenticated,
    VersionNotFound,
)
from norman_protocol.messages import (
    Accepted,
    Caller,
    CancelInvocation,
    Ended,
    Failure,
    GetRunning,
    GetStatus,
    Hello,
    Invoke,
    ReplicaChanged,
)
from norman_protocol.values import Value

ECHO = """
def predict(text: str) -> str:
    return text[::-1]
"""

LOAD_RAISES = """
class Model:
    def load(self, files, device):
        raise OSError("gone")

    def predict(self, x: int) -> int:
        return x
"""

# Opens one end of a FIFO to say that it runs, and blocks on another until the test lets it go.
GATED = """
from pathlib import Path

def predict(running: str, gate: str) -> str:
    with open(running, "w"):
        pass
    with open(gate) as file:
        return file.read()
"""


@pytest.fixture
def gate(home: Path) -> Any:
    class Gate:
        running = home / "running.fifo"
        gate = home / "gate.fifo"

        @property
        def inputs(self) -> dict[str, str]:
            return {"running": str(self.running), "gate": str(self.gate)}

        async def wait_running(self) -> None:
            await asyncio.to_thread(self.running.read_text)

        async def open(self, text: str = "done") -> None:
            await asyncio.to_thread(self.gate.write_text, text)

    os.mkfifo(Gate.running)
    os.mkfifo(Gate.gate)
    return Gate()


async def test_call_is_answered_and_recorded(executor):
    started = await executor.deploy_python("echo", ECHO)
    assert [item.name for item in started.signature.inputs] == ["text"]
    client = await executor.client(kernel_id="kernel-1")
    result = await client.call("echo", text="norman")
    assert result.reference == "echo@1"
    assert {name: value_to_object(value) for name, value in result.values.items()} == {
        "output": "namron"
    }
    assert 0 < result.timings.model_s < result.timings.total_s
    accepted, ended = executor.journal
    assert isinstance(accepted, Accepted)
    assert isinstance(ended, Ended)
    assert accepted.invocation_id == ended.invocation_id == result.invocation_id
    assert accepted.caller.kernel_id == "kernel-1"
    assert bytes(accepted.values["text"].buffer) == b"norman"
    assert bytes(ended.values["output"].buffer) == b"namron"
    assert (ended.state, ended.captured, ended.output_bytes) == ("succeeded", True, 6)


async def test_first_call_starts_the_replica(executor):
    await executor.deploy_python("echo", ECHO, start=False)
    assert (await executor.status()).deployments == ()
    client = await executor.client()
    assert await client.value("echo@1", text="ab") == "ba"


async def test_calls_of_one_connection_are_answered_by_id(executor):
    await executor.deploy_python("echo", ECHO)
    client = await executor.client()
    texts = [f"text {index}" for index in range(50)]
    answers = await asyncio.gather(*(client.value("echo", text=text) for text in texts))
    assert answers == [text[::-1] for text in texts]


async def test_payload_above_the_capture_limit_is_answered_and_not_recorded(executor_with):
    executor = await executor_with(capture_limit_bytes=1000)
    await executor.deploy_python("echo", ECHO)
    client = await executor.client()
    assert await client.value("echo", text="ab" * 4_000_000) == "ba" * 4_000_000
    accepted, ended = executor.journal
    assert (accepted.captured, accepted.input_bytes, dict(accepted.values)) == (
        False,
        8_000_000,
        {},
    )
    assert (ended.captured, ended.output_bytes, dict(ended.values)) == (False, 8_000_000, {})


async def test_prints_come_back_with_their_call(executor):
    await executor.deploy_python(
        "chatty", "def predict(n: int) -> int:\n    print('n is', n)\n    return n\n"
    )
    client = await executor.client()
    assert "n is 3" in (await client.call("chatty", n=3)).logs
    assert "n is 3" in (executor.home / "logs" / "chatty-1.log").read_text()


@pytest.mark.parametrize(
    ("reference", "error", "words"),
    [
        ("eco", ModelNotFound, "Did you mean echo"),
        ("zebra", ModelNotFound, "%norman models"),
        ("echo@7", VersionNotFound, "has the versions 1"),
        ("echo@staging", VersionNotFound, "aliases: active"),
    ],
)
async def test_unknown_reference_names_what_there_is(executor, reference, error, words):
    await executor.deploy_python("echo", ECHO, start=False)
    client = await executor.client()
    with pytest.raises(error, match=words):
        await client.call(reference, text="x")
    assert executor.journal == []


@pytest.mark.parametrize(
    ("state", "words"),
    [("loading", "still loading"), ("failed", "failed to load. See why with: %norman show echo@1")],
)
async def test_version_that_is_not_ready_says_so(executor, state, words):
    await executor.deploy_python("echo", ECHO, start=False)
    await executor.route("echo", state)
    client = await executor.client()
    with pytest.raises(NotReady, match=words) as caught:
        await client.call("echo", text="x")
    assert caught.value.state == state


async def test_model_without_active_version_says_so(executor):
    await executor.deploy_python("echo", ECHO, start=False)
    await executor.route("echo", "failed", active=False)
    client = await executor.client()
    with pytest.raises(
        NotReady,
        match=r"no active version\. echo@1 failed to load\. See why with: %norman show echo@1",
    ):
        await client.call("echo", text="x")


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({}, "missing"),
        ({"txt": "x"}, "Did you mean 'text'"),
        ({"text": float("nan")}, "takes text"),
    ],
)
async def test_inputs_are_checked_before_the_model_sees_them(executor, inputs, words):
    await executor.deploy_python("echo", ECHO)
    client = await executor.client()
    with pytest.raises(InputInvalid, match=words):
        await client.call("echo", **inputs)
    assert executor.journal == []


async def test_model_that_raises_fails_its_call_alone(executor):
    await executor.deploy_python("picky", "def predict(n: int) -> float:\n    return 1 / n\n")
    client = await executor.client()
    with pytest.raises(ModelFailed, match="division by zero") as caught:
        await client.call("picky", n=0)
    assert caught.value.reference == "picky@1"
    assert 'File "model.py", line 2' in caught.value.traceback
    assert await client.value("picky", n=2) == 0.5
    assert executor.ends()[caught.value.invocation_id] == ["failed"]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("os._exit(3)", "exited with status 3"),
    ],
)
async def test_worker_that_dies_fails_one_call_and_is_replaced(executor, how, words):
    source = f"""
    import os, signal
    def predict(die: bool) -> int:
        if die:
            {how}
        return os.getpid()
    """
    await executor.deploy_python("mortal", source)
    client = await executor.client()
    first = await client.value("mortal", die=False)
    with pytest.raises(ReplicaDied, match=words) as caught:
        await client.call("mortal", die=True)
    second = await client.value("mortal", die=False)
    assert second != first
    assert executor.ends()[caught.value.invocation_id] == ["failed"]
    assert not psutil.pid_exists(first)


async def test_killed_worker_is_replaced_even_where_its_child_keeps_the_socket(executor, died):
    # The model's forked child inherits the socket: end-of-file alone would never come.
    source = """
    import os, time
    def predict(fork: bool) -> int:
        if fork and os.fork() == 0:
            time.sleep(600)
        return os.getpid()
    """
    await executor.deploy_python("forker", source)
    client = await executor.client()
    pid = await client.value("forker", fork=True)
    (child,) = psutil.Process(pid).children()
    os.kill(pid, signal.SIGKILL)
    await executor.control.wait_event(died(pid))
    assert await client.value("forker", fork=False) != pid
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


async def test_idle_worker_that_is_killed_costs_no_call(executor, died):
    await executor.deploy_python("echo", ECHO)
    client = await executor.client()
    pid = await executor.worker_pid("echo")
    os.kill(pid, signal.SIGKILL)
    await executor.control.wait_event(died(pid))
    assert await client.value("echo", text="ab") == "ba"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("raise ValueError('no luck')\n", "no luck"),
        (LOAD_RAISES, "gone"),
        ("import os\nos._exit(4)\n", "exited with status 4"),
        ("x = 1\n", "predict"),
    ],
)
async def test_version_that_cannot_load_says_why_and_leaves_no_process(executor, source, words):
    with pytest.raises(LoadFailed, match=words):
        await executor.deploy_python("broken", source)
    assert executor.descendants() == []
    assert list((executor.home / "run").glob("replica-*")) == []


async def test_call_to_a_version_that_cannot_load_fails_with_the_reason(executor):
    await executor.deploy_python("broken", "raise ValueError('no luck')\n", start=False)
    client = await executor.client()
    with pytest.raises(LoadFailed, match="no luck"):
        await client.call("broken", x=1)
    # Its back-off lasts: the second is refused before it becomes an invocation.
    with pytest.raises(LoadFailed, match="no luck"):
        await client.call("broken", x=1)
    assert list(executor.ends().values()) == [["failed"]]


async def test_load_that_takes_too_long_is_stopped(executor_with):
    executor = await executor_with(load_timeout_s=1.0)
    with pytest.raises(LoadFailed, match="longer than 1 s"):
        await executor.deploy_python("slow", "import threading\nthreading.Event().wait()\n")
    assert executor.descendants() == []


async def test_missing_interpreter_is_named_by_its_version(executor):
    with pytest.raises(LoadFailed, match="echo@1"):
        await executor.deploy_python("echo", ECHO, interpreter="/nonexistent/python")


async def test_deadline_covers_a_running_call_and_the_model_serves_again(executor, gate):
    await executor.deploy_python("gated", GATED)
    client = await executor.client()
    _, future = await client.begin_call("gated", timeout_s=0.5, **gate.inputs)
    await gate.wait_running()
    with pytest.raises(TimedOut, match=r"within 0\.5 s") as caught:
        await client.answer(future)
    assert executor.ends()[caught.value.invocation_id] == ["timed_out"]
    _, future = await client.begin_call("gated", **gate.inputs)
    await gate.wait_running()
    await gate.open("again")
    assert value_to_object((await client.answer(future)).values["output"]) == "again"


async def test_deadline_covers_the_queue(executor, gate):
    await executor.deploy_python("gated", GATED)
    client = await executor.client()
    _, first = await client.begin_call("gated", **gate.inputs)
    await gate.wait_running()
    with pytest.raises(TimedOut):
        await client.call("gated", timeout_s=0.2, **gate.inputs)
    await gate.open()
    await client.answer(first)


async def test_full_queue_refuses_at_once(executor_with, gate):
    executor = await executor_with(queue_limit=1)
    await executor.deploy_python("gated", GATED)
    client = await executor.client()
    _, running = await client.begin_call("gated", **gate.inputs)
    await gate.wait_running()
    _, queued = await client.begin_call("gated", **gate.inputs)
    with pytest.raises(QueueFull):
        await client.call("gated", **gate.inputs)
    await gate.open("first")
    await client.answer(running)
    await gate.wait_running()
    await gate.open("second")
    await client.answer(queued)


async def test_cancelled_call_leaves_the_queue_and_has_one_end(executor, gate):
    await executor.deploy_python("gated", GATED)
    client = await executor.client()
    _, running = await client.begin_call("gated", **gate.inputs)
    await gate.wait_running()
    request_id, queued = await client.begin_call("gated", **gate.inputs)
    await client.cancel(request_id)
    with pytest.raises(Cancelled):
        await client.answer(queued)
    await gate.open()
    await client.answer(running)
    assert sorted(map(tuple, executor.ends().values())) == [("cancelled",), ("succeeded",)]


async def test_a_version_at_work_is_not_stopped_where_only_an_idle_one_shall_be(executor, gate):
    await executor.deploy_python("gated", GATED)
    client = await executor.client()
    _, running = await client.begin_call("gated", **gate.inputs)
    await gate.wait_running()
    with pytest.raises(Conflict, match=r"gated@1 run or wait"):
        await executor.stop("gated", only_idle=True)
    await gate.open()
    await client.answer(running)
    await executor.stop("gated", only_idle=True)
    with pytest.raises(NotReady):
        await client.call("gated", **gate.inputs)


async def test_caller_that_leaves_cancels_and_the_next_is_served(executor, gate):
    await executor.deploy_python("gated", GATED)
    leaver, stayer = await executor.client(), await executor.client()
    await leaver.begin_call("gated", **gate.inputs)
    await gate.wait_running()
    await leaver.close()
    _, future = await stayer.begin_call("gated", **gate.inputs)
    await gate.open("for nobody")
    await gate.wait_running()
    await gate.open("for the stayer")
    assert value_to_object((await stayer.answer(future)).values["output"]) == "for the stayer"
    assert sorted(map(tuple, executor.ends().values())) == [("cancelled",), ("succeeded",)]


async def test_cancelled_call_that_does_not_finish_frees_the_replica(executor_with, gate):
    executor = await executor_with(cancel_grace_s=0.2)
    await executor.deploy_python("gated", GATED)
    client = await executor.client()
    request_id, future = await client.begin_call("gated", timeout_s=600.0, **gate.inputs)
    await gate.wait_running()
    await client.cancel(request_id)
    with pytest.raises(Cancelled):
        await client.answer(future)
    _, future = await client.begin_call("gated", **gate.inputs)
    await gate.wait_running()
    await gate.open("served")
    assert value_to_object((await client.answer(future)).values["output"]) == "served"


async def test_death_shows_the_log_of_its_own_call_without_our_frames_and_paths(executor):
    source = """
    import os, signal
    def predict(text: str, die: bool) -> str:
        print("secret of", text)
        if die:
            os.kill(os.getpid(), signal.SIGSEGV)
        return text
    """
    await executor.deploy_python("mortal", source)
    client = await executor.client()
    await client.call("mortal", text="ada", die=False)
    with pytest.raises(ReplicaDied) as caught:
        await client.call("mortal", text="bob", die=True)
    assert "secret of bob" in caught.value.log
    assert "secret of ada" not in caught.value.log
    assert 'File "model.py", line 6 in predict' in caught.value.log
    assert str(executor.home) not in caught.value.log
    assert "norman_worker" not in caught.value.log


async def test_idle_replica_is_stopped_and_started_again(executor_with, died):
    executor = await executor_with(replica_idle_timeout_s=0.2)
    await executor.deploy_python("echo", ECHO)
    born = await executor.control.wait_event(lambda event: isinstance(event, ReplicaChanged))
    await executor.control.wait_event(died(born.pid))
    client = await executor.client()
    assert await client.value("echo", text="ab") == "ba"


async def test_stopped_version_answers_that_it_is(executor):
    await executor.deploy_python("echo", ECHO)
    await executor.stop("echo")
    client = await executor.client()
    with pytest.raises(NotReady):
        await client.call("echo", text="x")
    assert executor.descendants() == []


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, 1e9])
async def test_wild_timeouts_are_refused(executor, timeout_s):
    await executor.deploy_python("echo", ECHO, start=False)
    client = await executor.client()
    with pytest.raises(RequestInvalid, match="timeout_s"):
        await client.call("echo", timeout_s=timeout_s, text="x")


async def test_same_id_twice_is_refused(executor, gate):
    await executor.deploy_python("gated", GATED)
    client = await executor.client()
    request_id, first = await client.begin_call("gated", **gate.inputs)
    await gate.wait_running()
    values = {name: Value(kind="text", buffer=text.encode()) for name, text in gate.inputs.items()}
    await client.send(Invoke(id=request_id, reference="gated", values=values))
    with pytest.raises(RequestInvalid, match="runs already"):
        await client.answer(first)


# --- connections ----------------------------------------------------------------------------


async def test_wrong_token_is_refused(executor):
    with pytest.raises(Unauthenticated):
        await executor.client(token="guess")


async def test_kernel_token_gives_no_relay(executor):
    with pytest.raises(Unauthenticated):
        await executor.client(role="relay", token=executor.configuration.token)


async def test_unknown_protocol_version_is_refused_with_both_ranges(executor):
    with pytest.raises(ProtocolViolation, match="8 to 9, this server 1 to 1"):
        await executor.client(oldest_protocol=8, newest_protocol=9)


async def test_relay_that_goes_interrupts_its_calls_and_names_them(executor, gate):
    await executor.deploy_python("gated", GATED)
    relay = await executor.client("relay")
    values = {name: Value(kind="text", buffer=text.encode()) for name, text in gate.inputs.items()}
    await relay.send(Invoke(id="1", reference="gated", invocation_id="7" * 32, values=values))
    await gate.wait_running()
    await relay.close()
    bystander = await executor.client()
    await executor.deploy_python("echo", ECHO)
    assert await bystander.value("echo", text="ab") == "ba"
    assert executor.ends()["7" * 32] == ["interrupted"]


async def test_kernel_cannot_name_its_invocation(executor):
    await executor.deploy_python("echo", ECHO, start=False)
    client = await executor.client()
    with pytest.raises(RequestInvalid):
        await client.ask(Invoke(id="1", reference="echo", invocation_id="7" * 32))


async def test_relay_names_the_caller_and_a_kernel_cannot(executor):
    await executor.deploy_python("echo", ECHO)
    claimed = Caller(user="ada")
    for role, expected in (("relay", "ada"), ("kernel", None)):
        client = await executor.client(role)
        await client.ask(
            Invoke(
                id="1",
                reference="echo",
                caller=claimed,
                values={"text": Value(kind="text", buffer=b"x")},
            )
        )
        caller = [item for item in executor.journal if isinstance(item, Accepted)][-1].caller
        assert (caller.user == "ada") is (expected == "ada")


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + bytes(64),
        b"NRMN\xff\xff\xff\xff" + bytes(8),
        b"NRMN\x02\x00\x00\x00" + b"\xff" * 8 + b"{}",
        b"NRMN\x02\x00\x00\x00" + bytes(8) + b"[]",
        b"NRMN\x0f\x00\x00\x00" + bytes(8) + b'{"type":"done"}',
        b"NRMN\x10\x00\x00\x00" + bytes(8) + b'{"type":"other"}',
    ],
)
async def test_hostile_bytes_end_their_connection_alone(executor, data):
    await executor.deploy_python("echo", ECHO)
    bystander = await executor.client()
    attacker = await executor.raw_client()
    await attacker.send_bytes(data)
    await attacker.closed()
    assert await bystander.value("echo", text="ab") == "ba"


async def test_stranger_is_held_to_small_frames_until_it_says_hello(executor):
    await executor.deploy_python("echo", ECHO)
    large = {"text": Value(kind="text", buffer=b"a" * 100_000)}
    stranger = await executor.raw_client()
    await stranger.send_bytes(b"NRMN\x02\x00\x00\x00" + (1 << 20).to_bytes(8, "little") + b"{}")
    refused = await stranger.wait_event(lambda event: isinstance(event, Failure))
    assert refused.code == "payload_too_large"
    client = await executor.client()
    result = await client.ask(Invoke(id="1", reference="echo", values=large))
    assert result.values["output"].size_bytes == 100_000


async def test_invoke_before_hello_ends_the_connection(executor):
    stranger = await executor.raw_client()
    await stranger.send(Invoke(id="1", reference="echo"))
    await stranger.closed()
    assert executor.journal == []


async def test_too_many_connections_are_refused(executor_with):
    executor = await executor_with(connection_limit=2)
    await executor.client()
    await executor.client()
    with pytest.raises(QueueFull):
        await executor.client()


async def test_executor_without_descriptors_left_takes_connections_again(home, executor_at):
    few = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)); "
        "from norman_executor.__main__ import main; sys.exit(main())"
    )
    async with executor_at(home, launcher=("-c", few)) as executor:
        crowd = [await executor.raw_client() for _ in range(60)]
        log = home / "logs" / "executor.log"
        async with asyncio.timeout(60):
            while "connections wait" not in log.read_text():  # noqa: ASYNC110 - a file tells it
                await asyncio.sleep(0)
        with pytest.raises(InternalError, match="status"):
            await executor.status()  # it takes descriptors too
        for stranger in crowd:
            await stranger.close()
        await executor.deploy_python("echo", ECHO)
        client = await executor.client()
        assert await client.value("echo", text="ab") == "ba"


async def test_socket_is_closed_to_other_users(executor):
    path = Path(executor.configuration.socket_path)
    assert path.stat().st_mode & 0o777 == 0o600  # noqa: ASYNC240 - one stat


async def test_hello_twice_ends_the_connection(executor):
    client = await executor.client()
    await client.send(Hello(oldest_protocol=1, newest_protocol=1, token="kernel-token"))
    await client.closed()


async def test_what_a_killed_executor_left_in_the_run_folder_is_swept(home, executor_at):
    (home / "run").mkdir()
    for name in ("replica-old/tmp", "replica-older"):
        (home / "run" / name).mkdir(parents=True)
    (home / "run" / "worker-0123456789abcdef.pyz").write_bytes(b"old")
    async with executor_at(home) as executor:
        await executor.deploy_python("echo", ECHO)
        left = [path.name for path in (home / "run").iterdir()]
        assert not [name for name in left if name.startswith("replica-old")]
        assert "worker-0123456789abcdef.pyz" not in left


async def test_calls_are_answered_where_there_is_no_uvloop(home, executor_at):
    blocked = (
        "import sys; sys.modules['uvloop'] = None; "
        "from norman_executor.__main__ import main; sys.exit(main())"
    )
    async with executor_at(home, launcher=("-c", blocked)) as executor:
        await executor.deploy_python("echo", ECHO)
        client = await executor.client()
        assert await client.value("echo", text="ab") == "ba"


async def test_redeployed_version_takes_calls_at_once(executor, gate):
    await executor.deploy_python("gated", GATED)
    client = await executor.client()
    _, running = await client.begin_call("gated", **gate.inputs)
    await gate.wait_running()
    await executor.deploy_python("gated", ECHO, start=False)
    with pytest.raises(Interrupted):
        await client.answer(running)
    assert await client.value("gated", text="ab") == "ba"


# --- lifetimes --------------------------------------------------------------------------------


async def test_server_gone_ends_executor_workers_and_socket(executor):
    await executor.deploy_python("echo", ECHO)
    workers = executor.descendants()
    assert workers
    await executor.control.close()
    assert await asyncio.to_thread(executor.process.wait, 30) == 0
    assert not any(worker.is_running() for worker in workers)
    assert list((executor.home / "run").glob("*.sock")) == []
    assert list((executor.home / "run").glob("replica-*")) == []


async def test_orderly_end_interrupts_the_running_call_once(executor, gate):
    await executor.deploy_python("gated", GATED)
    client = await executor.client()
    _, future = await client.begin_call("gated", **gate.inputs)
    await gate.wait_running()
    await executor.control.close()
    with pytest.raises(Interrupted):
        await client.answer(future)
    await asyncio.to_thread(executor.process.wait, 30)
    assert list(executor.ends().values()) == [["interrupted"]]


async def test_killed_executor_takes_its_workers_along(executor, gate):
    await executor.deploy_python("gated", GATED)
    client = await executor.client()
    workers = executor.descendants()
    _, future = await client.begin_call("gated", **gate.inputs)
    await gate.wait_running()
    executor.process.send_signal(signal.SIGKILL)
    with pytest.raises(Interrupted):
        await client.answer(future)
    await asyncio.to_thread(psutil.wait_procs, workers, 30)
    assert not any(worker.is_running() for worker in workers)
    # Accepted, and no end: the server marks it interrupted.
    assert list(executor.ends().values()) == [[]]


async def test_workers_get_no_token(executor, monkeypatch):
    source = """
    import os
    def predict() -> list:
        return sorted(os.environ)
    """
    await executor.deploy_python("snoop", source)
    client = await executor.client()
    names = await client.value("snoop")
    assert "PATH" in names
    assert not [name for name in names if name.startswith(("NORMAN_", "JPY_", "JUPYTERHUB_"))]


async def test_a_call_is_ended_by_its_id_whether_it_runs_or_waits(executor, gate):
    await executor.deploy_python("gated", GATED)
    client, control = await executor.client(), executor.control
    assert (await control.ask(GetRunning(id=control.next_id()))).invocation_ids == ()
    calls = [await client.begin_call("gated", **gate.inputs)]
    await gate.wait_running()
    calls.append(await client.begin_call("gated", **gate.inputs))
    while len(executor.ends()) < 2:
        await control.ask(GetStatus(id=control.next_id()))
    running, waiting = executor.ends()
    answer = await control.ask(GetRunning(id=control.next_id()))
    assert answer.invocation_ids == (running,)
    for invocation_id in (waiting, running):
        await control.ask(CancelInvocation(id=control.next_id(), invocation_id=invocation_id))
        with pytest.raises(InvocationNotFound):
            await control.ask(CancelInvocation(id=control.next_id(), invocation_id=invocation_id))
    for _, future in calls:
        with pytest.raises(Cancelled):
            await client.answer(future)
    assert (await control.ask(GetRunning(id=control.next_id()))).invocation_ids == ()
    assert executor.ends() == {running: ["cancelled"], waiting: ["cancelled"]}
    await gate.open()


async def test_a_relay_says_how_large_outputs_are_recorded(executor_with):
    executor = await executor_with(capture_limit_bytes=1)
    await executor.deploy_python("echo", ECHO)
    relay = await executor.client("relay", token=executor.configuration.relay_token)
    values = {"text": object_to_value("hello")}
    await relay.ask(
        Invoke(id="1", reference="echo", invocation_id="i", capture_limit_bytes=5, values=values)
    )
    await relay.ask(Invoke(id="2", reference="echo", invocation_id="j", values=values))
    ends = {end.invocation_id: end for end in executor.journal if isinstance(end, Ended)}
    assert bytes(ends["i"].values["output"].buffer) == b"olleh"
    assert (ends["j"].captured, ends["j"].values) == (False, {})
    kernel = await executor.client()
    with pytest.raises(RequestInvalid, match="kernel"):
        await kernel.ask(Invoke(id="3", reference="echo", capture_limit_bytes=5, values=values))
