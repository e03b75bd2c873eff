"""What completion asks the server: bounded in time, remembered, never raising."""

from __future__ import annotations

import threading

import pytest

from norman_jupyter.magics.connection import ClientHolder
from norman_jupyter.magics.facts import ServerFacts
from norman_protocol.errors import ModelNotFound, ServerNotFound


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def facts(client, clock):
    # The wait ends with the answer; its bound is a guard for the tests alone.
    return ServerFacts(ClientHolder(lambda: client), wait_s=60, fresh_s=5, clock=clock)


def test_names_come_from_the_server(facts):
    assert facts.model_names("dig") == ("digits",)
    assert facts.selectors("digits") == ("2", "1", "active", "latest")
    assert facts.input_names("digits@1") == ("image", "top")


def test_names_for_a_call_are_those_that_can_serve(facts, client):
    client.model_facts = {
        "digits": {"active": None, "state": "failed"},
        "answers": {"active": None, "state": "ready"},
        "words": {"active": 2, "state": "ready"},
    }
    assert facts.model_names("") == ("digits", "answers", "words")
    assert facts.model_names("", can_serve=True) == ("words", "answers")


def test_names_that_begin_so_are_found_behind_many_that_only_hold_the_text(facts, client):
    client.model_facts = {f"a-digit-{number:03}": {} for number in range(450)} | {"digits": {}}
    assert facts.model_names("dig") == ("digits",)
    client.model_facts["digits"] = {"active": None, "state": "failed"}
    facts.forget()
    assert facts.model_names("dig", can_serve=True) == ()


def test_many_names_are_asked_for_in_a_bounded_number_of_pages(facts, client):
    client.model_facts = {f"a-digit-{number:04}": {} for number in range(3000)}
    assert facts.model_names("dig") == ()
    assert len(client.calls) == 5
    assert facts.model_names("a") == tuple(client.model_facts)[:200]
    assert len(client.calls) == 6


def test_versions_for_a_call_are_those_that_can_serve(facts, client):
    client.version_states = {2: "failed"}
    assert facts.selectors("digits") == ("2", "1", "active", "latest")
    assert facts.selectors("digits", can_serve=True) == ("1", "active")
    client.version_states, client.model_facts = {1: "failed"}, {"digits": {"active": None}}
    facts.forget()
    assert facts.selectors("digits", can_serve=True) == ("2", "latest")


def test_version_without_signature_has_no_inputs(facts, client):
    client.version_facts = {"signature": None, "state": "loading"}
    assert facts.input_names("digits") == ()


def test_answer_is_remembered_for_a_moment(facts, client, clock):
    facts.model_names("")
    clock.now += 4.9
    facts.model_names("")
    assert len(client.calls) == 1
    clock.now += 0.2
    facts.model_names("")
    assert len(client.calls) == 2


def test_forgotten_answers_are_asked_again(facts, client):
    facts.model_names("")
    facts.forget()
    facts.model_names("")
    assert len(client.calls) == 2


@pytest.mark.parametrize(
    "failure", [ServerNotFound("none"), ModelNotFound("none"), OSError("broken")]
)
def test_failure_offers_nothing(failure, facts, client):
    client.failure = failure
    assert facts.model_names("") == ()
    assert facts.input_names("digits") == ()


def test_unreachable_server_offers_nothing():
    def connect():
        raise ServerNotFound("none")

    assert ServerFacts(ClientHolder(connect), wait_s=60).model_names("") == ()


def test_slow_server_does_not_hold_up_and_answers_the_next_time(client, clock):
    may_answer, answered = threading.Event(), threading.Event()
    answer_at_once = client.models

    def models(**options):
        assert may_answer.wait(60)
        page = answer_at_once(**options)
        answered.set()
        return page

    client.models = models
    facts = ServerFacts(ClientHolder(lambda: client), wait_s=0, clock=clock)
    assert facts.model_names("") == ()
    assert facts.model_names("") == ()
    (asking,) = [one for one in threading.enumerate() if one.name == "norman-completion"]
    may_answer.set()
    asking.join(60)
    assert answered.is_set()
    assert facts.model_names("") == ("digits", "answers")
    assert len(client.calls) == 1
