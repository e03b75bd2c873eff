"""The core's decisions, its steps carried out by hand: no socket, no clock but the test's."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from norman_jupyter.client.core import Core
from norman_jupyter.client.discovery import Target
from norman_jupyter.client.effects import (
    Effect,
    Exchange,
    HttpAnswer,
    Pause,
    Send,
    Steps,
    Work,
)
from norman_jupyter.client.local import LinkUnavailable
from norman_protocol.decoding import dump_json, encode
from norman_protocol.errors import (
    ExecutorUnavailable,
    InputInvalid,
    Interrupted,
    ModelNotFound,
    QueueFull,
    ServerNotFound,
    Unauthenticated,
)
from norman_protocol.messages import Failure, Result, Timings, encode_message
from norman_protocol.rest import FRAME_MEDIA_TYPE, ExecutorStatus, ModelPage, ServerStatus
from norman_protocol.values import Value

LOCAL = Target(
    url="http://127.0.0.1:1/", token="t", server_id="s1", socket_path="/s", source="a record"
)
REMOTE = Target(url="http://far/", token="t", source="the given URL", chosen=True)


class Hand:
    """Carries out steps: each effect goes to the script, whose outcome goes back."""

    def __init__(self, script: Callable[[Effect], Any]) -> None:
        self.script = script
        self.effects: list[Effect] = []
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def run(self, steps: Steps[Any]) -> Any:
        try:
            effect = next(steps)
            while True:
                self.effects.append(effect)
                try:
                    outcome = self._outcome(effect)
                except Exception as error:
                    effect = steps.throw(error)
                else:
                    effect = steps.send(outcome)
        except StopIteration as end:
            return end.value

    def _outcome(self, effect: Effect) -> Any:
        if isinstance(effect, Work):
            return effect.run()
        if isinstance(effect, Pause):
            self.now += effect.seconds
            return None
        outcome = self.script(effect)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def sent(self, kind: type) -> list[Any]:
        return [effect for effect in self.effects if isinstance(effect, kind)]


def make_core(
    hand: Hand, *targets: Target, transport: Any = "auto", found: Callable[..., Any] | None = None
) -> Core:
    return Core(found or (lambda _: targets), transport=transport, clock=hand.clock)


def result(call_id: str = "1") -> Result:
    return Result(
        id=call_id,
        invocation_id="i",
        reference="m@1",
        timings=Timings(queue_s=0.001, model_s=0.002, total_s=0.004),
        values={"y": Value(kind="text", buffer=b"hi")},
    )


def http(body: Any, status: int = 200) -> HttpAnswer:
    return HttpAnswer(
        url="u", status=status, media_type="application/json", body=dump_json(encode(body))
    )


def frame(message: Any) -> HttpAnswer:
    body = b"".join(encode_message(message))
    return HttpAnswer(url="u", status=200, media_type=FRAME_MEDIA_TYPE, body=body)


def status(server_id: str = "s1") -> HttpAnswer:
    executor = ExecutorStatus(state="ready")
    return http(
        ServerStatus(server_id=server_id, version="0", protocol=1, model_count=0, executor=executor)
    )


def error(code: str, status_code: int, **details: Any) -> HttpAnswer:
    return http({"code": code, "message": "no", "details": details}, status_code)


def path(effect: Effect) -> str:
    assert isinstance(effect, Send)
    return f"{effect.request.method} {effect.request.path}"


def invoke(core: Core, timeout_s: float | None = None, **inputs: Any) -> Steps[Any]:
    return core.invoke("m", None, timeout_s, inputs)


def test_call_takes_the_fast_path_where_there_is_one() -> None:
    hand = Hand(lambda effect: result())
    answer = hand.run(invoke(make_core(hand, LOCAL), text="a"))
    assert answer.value == "hi"
    assert [type(effect) for effect in hand.effects] == [Work, Exchange]


def test_second_call_looks_for_no_server_again() -> None:
    hand = Hand(lambda effect: result())
    core = make_core(hand, LOCAL)
    for _ in range(2):
        hand.run(invoke(core))
    assert len(hand.sent(Work)) == 1
    assert [call.message.id for call in hand.sent(Exchange)] == ["1", "2"]


def test_time_is_split_into_queue_model_and_transfer() -> None:
    def script(effect: Effect) -> Any:
        hand.now += 0.010
        return result()

    hand = Hand(script)
    answer = hand.run(invoke(make_core(hand, LOCAL)))
    assert answer.latency_ms == pytest.approx(10)
    assert answer.timings == pytest.approx({"queue": 1, "model": 2, "transfer": 7})


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("http://127.0.0.1:1/", "/norman/api/v1/invocations/i"),
        ("http://127.0.0.1:1/user/ann/", "/user/ann/norman/api/v1/invocations/i"),
    ],
)
def test_result_links_to_its_record_where_our_server_shows_the_notebook(
    url: str, link: str
) -> None:
    hand = Hand(lambda effect: result())
    ours = dataclasses.replace(LOCAL, url=url, is_ours=True)
    assert hand.run(invoke(make_core(hand, ours))).record_link == link
    dropped = Hand(lambda effect: dataclasses.replace(result(), kept=False))
    assert dropped.run(invoke(make_core(dropped, ours))).record_link is None
    other = dataclasses.replace(LOCAL, url=url)
    assert hand.run(invoke(make_core(hand, other))).record_link is None


def refuse(name: str, modality: str) -> Failure:
    details = {"input": name, "modality": modality}
    return Failure(id="1", code="input_invalid", message="no", details=details)


def test_array_for_an_image_is_sent_as_a_file_once_that_is_known() -> None:
    """The client doesn't ask for signatures: the first refusal tells."""

    def script(effect: Effect) -> Any:
        assert isinstance(effect, Exchange)
        values = effect.message.values  # type: ignore[attr-defined]
        refused = (name for name in "ab" if name in values and values[name].kind == "tensor")
        return next((refuse(name, "image") for name in refused), result())

    hand, pixels = Hand(script), np.zeros((2, 3), np.uint8)
    core = make_core(hand, LOCAL)
    assert hand.run(invoke(core, a=pixels, b=pixels, c=pixels)).value == "hi"
    kinds = [
        "".join(value.kind[0] for value in call.message.values.values())
        for call in hand.sent(Exchange)
    ]
    assert kinds == ["ttt", "btt", "bbt"]
    hand.run(invoke(core, a=pixels))
    assert len(hand.sent(Exchange)) == 4


def test_contradicting_refusals_end() -> None:
    answers = itertools.cycle([refuse("a", "image"), refuse("a", "tensor")])
    hand = Hand(lambda effect: next(answers))
    with pytest.raises(InputInvalid):
        hand.run(invoke(make_core(hand, LOCAL), a=np.zeros((2, 3), np.uint8)))
    assert len(hand.sent(Exchange)) == 2


def test_call_goes_over_rest_where_no_link_can_be_made() -> None:
    def script(effect: Effect) -> Any:
        if isinstance(effect, Exchange):
            return LinkUnavailable("refused")
        return status() if path(effect) == "GET status" else frame(result())

    hand = Hand(script)
    assert hand.run(invoke(make_core(hand, LOCAL))).value == "hi"
    assert [path(effect) for effect in hand.sent(Send)] == ["GET status", "POST invocations"]


@pytest.mark.parametrize("transport", ["auto", "rest"])
def test_server_elsewhere_is_called_over_rest(transport: str) -> None:
    hand = Hand(lambda e: status("any") if path(e) == "GET status" else frame(result()))
    assert hand.run(invoke(make_core(hand, REMOTE, transport=transport))).value == "hi"
    assert not hand.sent(Exchange)


def test_forced_fast_path_says_that_there_is_none() -> None:
    hand = Hand(lambda effect: None)
    with pytest.raises(ServerNotFound, match="data socket"):
        hand.run(invoke(make_core(hand, REMOTE, transport="local")))


def test_forced_fast_path_tells_why_it_was_refused() -> None:
    hand = Hand(lambda effect: LinkUnavailable("no", Unauthenticated("The token is wrong.")))
    with pytest.raises(Unauthenticated):
        hand.run(invoke(make_core(hand, LOCAL, transport="local")))


def test_restart_of_the_executor_is_waited_out_within_one_deadline() -> None:
    answers = [ExecutorUnavailable("restarting", retry_after_s=0.4)] * 2

    def script(effect: Effect) -> Any:
        hand.now += 0.1
        return answers.pop() if answers else result()

    hand = Hand(script)
    hand.run(invoke(make_core(hand, LOCAL), timeout_s=5.0))
    limits = [call.message.timeout_s for call in hand.sent(Exchange)]
    assert limits == pytest.approx([5.0, 4.5, 4.0])
    assert [pause.seconds for pause in hand.sent(Pause)] == [0.4, 0.4]


def test_failure_that_says_unavailable_is_waited_out_too() -> None:
    answers: list[Any] = [Failure(id="1", code="executor_unavailable", message="starting")]
    hand = Hand(lambda effect: answers.pop() if answers else result())
    assert hand.run(invoke(make_core(hand, LOCAL))).value == "hi"


@pytest.mark.parametrize(("timeout_s", "patience_s"), [(None, 15.0), (2.0, 2.0), (60.0, 15.0)])
def test_executor_that_does_not_come_back_is_given_up(timeout_s, patience_s: float) -> None:
    hand = Hand(lambda effect: ExecutorUnavailable("restarting", retry_after_s=0.5))
    with pytest.raises(ExecutorUnavailable):
        hand.run(invoke(make_core(hand, LOCAL), timeout_s=timeout_s))
    assert patience_s - 0.5 <= hand.now <= patience_s


@pytest.mark.parametrize("code", ["model_not_found", "version_not_found", "not_ready"])
def test_executor_that_does_not_know_a_version_yet_is_not_believed(code: str) -> None:
    def script(effect: Effect) -> Any:
        if isinstance(effect, Exchange):
            return Failure(id="1", code=code, message="never heard of it")
        return status() if path(effect) == "GET status" else frame(result())

    hand = Hand(script)
    assert hand.run(invoke(make_core(hand, LOCAL))).value == "hi"


def test_server_has_the_last_word_on_what_there_is() -> None:
    def script(effect: Effect) -> Any:
        if isinstance(effect, Exchange):
            return Failure(id="1", code="model_not_found", message="from the executor")
        return status() if path(effect) == "GET status" else error("model_not_found", 404)

    hand = Hand(script)
    with pytest.raises(ModelNotFound, match="no"):
        hand.run(invoke(make_core(hand, LOCAL)))
    assert len(hand.sent(Exchange)) == 1


@pytest.mark.parametrize("lost", [Interrupted("gone"), QueueFull("busy"), ModelNotFound("no")])
def test_call_that_may_have_run_or_was_refused_is_not_sent_twice(lost: Exception) -> None:
    hand = Hand(lambda effect: lost)
    with pytest.raises(type(lost)):
        hand.run(invoke(make_core(hand, LOCAL)))
    assert len(hand.sent(Exchange)) == 1


def test_call_over_rest_that_was_interrupted_is_not_sent_twice() -> None:
    hand = Hand(lambda e: status() if path(e) == "GET status" else Interrupted("gone"))
    with pytest.raises(Interrupted):
        hand.run(invoke(make_core(hand, REMOTE)))
    assert len(hand.sent(Send)) == 2


def test_question_that_was_interrupted_is_asked_again() -> None:
    answers: list[Any] = [http(ModelPage(items=())), Interrupted("gone"), status()]
    hand = Hand(lambda effect: answers.pop())
    assert hand.run(make_core(hand, REMOTE).models(None, 50, None)).items == ()


def test_another_server_at_the_recorded_address_gets_nothing_but_the_greeting() -> None:
    hand = Hand(lambda effect: status("s2"))
    with pytest.raises(ServerNotFound, match="Another server answers"):
        hand.run(make_core(hand, LOCAL, transport="rest").models(None, 50, None))
    assert [path(effect) for effect in hand.sent(Send)] == ["GET status"]


@pytest.mark.parametrize("gone", [ServerNotFound("refused"), error("unauthenticated", 401)])
def test_server_started_anew_is_found_again(gone: Any) -> None:
    anew = Target(url="http://127.0.0.1:2/", token="t2", server_id="s2", source="a record")
    found = [(anew,), (LOCAL,)]

    def script(effect: Effect) -> Any:
        if effect.target == LOCAL:
            return gone
        return status("s2") if path(effect) == "GET status" else http(ModelPage(items=()))

    asked: list[Target | None] = []

    def find(previous: Target | None) -> Any:
        asked.append(previous)
        return found.pop()

    hand = Hand(script)
    core = make_core(hand, transport="rest", found=find)
    assert hand.run(core.models(None, 50, None)).items == ()
    assert asked == [None, LOCAL]
    hand.effects.clear()
    found.append((anew,))
    hand.run(core.models(None, 50, None))
    assert [effect.target for effect in hand.effects] == [anew]


def test_fast_path_alone_follows_a_server_that_was_started_anew() -> None:
    anew = dataclasses.replace(LOCAL, token="t2", server_id="s2")
    refusal = Unauthenticated("another token")
    found = [(anew,), (LOCAL,)]

    def script(effect: Effect) -> Any:
        if isinstance(effect, Send):
            return status("s2")
        return result() if effect.target == anew else LinkUnavailable("no", refusal=refusal)

    hand = Hand(script)
    core = make_core(hand, transport="local", found=lambda _: found.pop())
    assert hand.run(invoke(core)).value == "hi"
    hand.effects.clear()
    assert hand.run(invoke(core)).value == "hi"
    assert [effect.target for effect in hand.effects] == [anew]


def test_fast_path_alone_tells_what_refused_it_where_there_is_no_other_server() -> None:
    hand = Hand(lambda effect: LinkUnavailable("no", refusal=Unauthenticated("another token")))
    with pytest.raises(Unauthenticated, match="another token"):
        hand.run(invoke(make_core(hand, LOCAL, transport="local")))
    assert not hand.sent(Send)


def test_server_that_is_gone_for_good_is_told_as_it_was_met() -> None:
    hand = Hand(lambda effect: ServerNotFound("connection refused"))
    with pytest.raises(ServerNotFound, match="connection refused"):
        hand.run(make_core(hand, REMOTE).status())


def test_url_of_jupyter_without_norman_gives_way_to_the_next() -> None:
    jupyter = Target(url="http://j/", token="t", source="JUPYTER_SERVER_URL")
    hand = Hand(lambda e: http({"message": "Not Found"}, 404) if isinstance(e, Send) else result())
    assert hand.run(invoke(make_core(hand, jupyter, LOCAL))).value == "hi"


def test_url_of_jupyter_without_norman_and_nothing_else_says_so() -> None:
    jupyter = Target(url="http://j/", token="t", source="JUPYTER_SERVER_URL")
    hand = Hand(lambda effect: http({"message": "Not Found"}, 404))
    with pytest.raises(ServerNotFound, match="no Norman extension"):
        hand.run(invoke(make_core(hand, jupyter)))


def test_files_and_large_arrays_are_read_off_the_loop(tmp_path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("x")
    hand = Hand(lambda effect: result())
    core = make_core(hand, LOCAL)
    hand.run(invoke(core, small=np.zeros(3)))
    assert len(hand.sent(Work)) == 1  # discovery
    hand.run(invoke(core, file=file))
    hand.run(invoke(core, large=np.zeros(3 << 20)))
    assert len(hand.sent(Work)) == 3


def test_unknown_transport_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="auto, local, rest"):
        make_core(Hand(lambda effect: None), LOCAL, transport="carrier pigeon")


@pytest.mark.parametrize(("token", "refused"), [("t", "the token"), (None, "without a token")])
def test_refused_token_says_where_and_how_to_pass_another(token: str | None, refused: str) -> None:
    target = Target(url="http://far/", token=token, source="NORMAN_URL", chosen=True)
    hand = Hand(lambda effect: error("unauthenticated", 401))
    with pytest.raises(Unauthenticated, match=refused) as caught:
        hand.run(make_core(hand, target).status())
    assert "http://far/ (from NORMAN_URL)" in caught.value.message
    assert "NORMAN_TOKEN" in caught.value.message
