"""How long a server that went away is waited for, its pauses counted instead of slept."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from norman_jupyter.client.effects import HttpAnswer, HttpRequest, Pause, Steps
from norman_jupyter.client.patience import Patience, patiently
from norman_protocol.errors import (
    BundleInvalid,
    ExecutorUnavailable,
    NormanError,
    ServerNotFound,
    Unauthenticated,
)

GONE = ServerNotFound("It is gone.")
REQUEST = HttpRequest(method="GET", path="status")


def pauses(steps: Steps[object]) -> list[float]:
    """Return the seconds of each pause; there are no other effects."""
    seconds = []
    for effect in steps:
        assert isinstance(effect, Pause)
        seconds.append(effect.seconds)
    return seconds


def answer(status: int) -> HttpAnswer:
    return HttpAnswer(url="http://a/", status=status, media_type="application/json", body=b"{}")


def test_pauses_grow_to_a_bound_and_end_with_the_error() -> None:
    patience = Patience()
    waited: list[float] = []
    while sum(waited) < 30.0:
        waited += pauses(patience.wait(GONE))
    assert waited[:6] == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0]
    assert set(waited[5:]) == {2.0}
    with pytest.raises(ServerNotFound) as raised:
        pauses(patience.wait(GONE))
    assert raised.value is GONE


def test_a_server_that_did_something_is_waited_for_anew() -> None:
    patience = Patience()
    for _ in range(5):
        pauses(patience.wait(GONE))
    patience.renew()
    assert pauses(patience.wait(GONE)) == [0.1]


@pytest.mark.parametrize("error", [BundleInvalid("No."), Unauthenticated("Who?")])
def test_what_waiting_does_not_mend_is_raised_at_once(error: NormanError) -> None:
    with pytest.raises(type(error)) as raised:
        pauses(Patience().wait(error))
    assert raised.value is error


def test_a_refused_token_is_waited_out_only_while_the_server_starts() -> None:
    refused = Unauthenticated("Who?")
    patience = Patience()
    pauses(patience.wait(GONE))
    assert pauses(patience.wait(refused)) == [0.2]
    patience.renew()
    with pytest.raises(Unauthenticated):
        pauses(patience.wait(refused))


def test_a_request_is_repeated_until_it_is_answered() -> None:
    script: Iterator[NormanError | HttpAnswer] = iter([GONE, answer(503), answer(200)])
    asked = []

    def call(request: HttpRequest) -> Steps[HttpAnswer]:
        asked.append(request)
        outcome = next(script)
        if isinstance(outcome, NormanError):
            raise outcome
        return outcome
        yield

    answers = []

    def outcome() -> Steps[None]:
        answers.append((yield from patiently(call)(REQUEST)))

    waited = pauses(outcome())
    assert answers == [answer(200)]
    assert waited == [0.1, 0.2]
    assert asked == [REQUEST] * 3


def test_an_answer_that_refuses_is_handed_on_without_waiting() -> None:
    def call(request: HttpRequest) -> Steps[HttpAnswer]:
        return answer(404)
        yield

    with pytest.raises(StopIteration) as end:
        next(patiently(call)(REQUEST))
    assert end.value.value == answer(404)


def test_a_server_that_stays_away_is_told_of_by_its_own_error() -> None:
    def call(request: HttpRequest) -> Steps[HttpAnswer]:
        raise ExecutorUnavailable("It starts.")
        yield

    with pytest.raises(ExecutorUnavailable, match="It starts"):
        pauses(patiently(call)(REQUEST))
