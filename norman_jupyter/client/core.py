"""Every operation of the client, written once and without I/O, as steps for a driver."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar
from urllib.parse import quote, urlsplit

from norman_jupyter.client.catalogue import Catalogue
from norman_jupyter.client.dictionaries import (
    DictionaryCall,
    check_titles,
    output_bytes,
    read_call,
    read_input,
)
from norman_jupyter.client.discovery import Target
from norman_jupyter.client.effects import (
    HttpAnswer,
    HttpRequest,
    Steps,
    exchange,
    pause,
    send,
    work,
)
from norman_jupyter.client.fetching import default_folder, fetch_version
from norman_jupyter.client.handover import Handover, connect_handover
from norman_jupyter.client.inputs import check_timeout, encode_inputs, is_slow, merge_inputs
from norman_jupyter.client.local import LinkUnavailable
from norman_jupyter.client.metering import OnProgress
from norman_jupyter.client.pictures import PictureInputs
from norman_jupyter.client.progress import Progress
from norman_jupyter.client.rest import (
    get_request,
    invoke_request,
    json_request,
    kept,
    model_path,
    raise_for_error,
    read_answer,
    read_message,
    version_path,
)
from norman_jupyter.client.results import InvokeResult, read_result
from norman_jupyter.client.uploading import Uploads
from norman_jupyter.client.web import WebLimits
from norman_protocol.errors import (
    Conflict,
    ExecutorUnavailable,
    InputInvalid,
    Interrupted,
    ModelNotFound,
    NormanError,
    NotReady,
    ProtocolViolation,
    ServerNotFound,
    TimedOut,
    Unauthenticated,
    VersionNotFound,
)
from norman_protocol.identifiers import new_id
from norman_protocol.messages import Failure, InvocationState, Invoke, Message, Result
from norman_protocol.references import parse_name, parse_reference
from norman_protocol.rest import (
    API_PATH,
    FRAME_MEDIA_TYPE,
    InvocationDetail,
    InvocationPage,
    InvocationSummary,
    LogText,
    ModelDetail,
    ModelPage,
    ReplayRequest,
    ServerStatus,
    VersionDetail,
)
from norman_protocol.signature import Signature
from norman_protocol.values import Value

if TYPE_CHECKING:
    from norman_jupyter.client.loaded import LoadedModel

__all__ = ["Core", "PathLike", "Transport"]

T = TypeVar("T")
Transport: TypeAlias = Literal["auto", "local", "rest"]
PathLike: TypeAlias = str | os.PathLike[str]

_TRANSPORTS = ("auto", "local", "rest")
# An executor that died is up again within a second or two; after this long, something is wrong.
_RESTART_PATIENCE_S = 15.0
_SHORTEST_PAUSE_S = 0.05
# The executor keeps the deadline. These catch one that hangs: it is given a little longer.
_DEADLINE_GRACE_S = 10.0
_LONGEST_CALL_S = 3600.0 + 300.0

_ANSWER_TIMEOUT_S = 60.0
_RESULT_WAIT_S = 10.0
_GOES_ON = 202
_UNAVAILABLE = 503

_ROUTING_CODES = (ModelNotFound.code, VersionNotFound.code, NotReady.code)


class Core:
    """The operations of one client, and what it knows of its server.

    Parameters
    ----------
    discover
        Lists the servers to try, given the one that was used until now and is gone; blocks.
    transport
        ``auto`` takes the fast path where there is one, else REST; the others force one.
    clock
        Monotonic seconds.

    Notes
    -----
    Each method gives steps; see `norman_jupyter.client.effects`. Safe to use from several threads:
    two first calls at once may both look for the server.
    """

    def __init__(
        self,
        discover: Callable[[Target | None], tuple[Target, ...]],
        *,
        transport: Transport = "auto",
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if transport not in _TRANSPORTS:
            raise ValueError(f"transport is one of {', '.join(_TRANSPORTS)}, not {transport!r}")
        self._discover = discover
        self._transport = transport
        self._clock = clock
        self._target: Target | None = None
        self._greeted: Target | None = None
        self._ids = itertools.count(1)
        self._pictures = PictureInputs()
        self.catalogue = Catalogue(self._call)
        self.uploads = Uploads(self._call, self._meet, self._connect_handover)

    # --- calls --------------------------------------------------------------------------------

    def invoke(
        self,
        reference: str,
        inputs: Mapping[str, Any] | None,
        timeout_s: float | None,
        named: Mapping[str, Any],
    ) -> Steps[InvokeResult]:
        """Call a version."""
        text = str(parse_reference(reference))
        timeout_s = check_timeout(timeout_s)
        objects = merge_inputs(inputs, named)
        for tries_left in range(len(objects), -1, -1):  # each may teach us of one input
            values = yield from _encode(objects, self._pictures.of(text))
            message = Invoke(
                id=f"{next(self._ids):x}", reference=text, timeout_s=timeout_s, values=values
            )
            try:
                result, latency_s = yield from self._deliver(message)
                break
            except InputInvalid as error:  # refused before it was accepted
                if not tries_left or not self._pictures.learn(text, error, objects):
                    raise
        return read_result(result, latency_s, self._record_link(result))

    def invoke_dictionary(
        self, dictionary: Mapping[str, Any], timeout_s: float | None, limits: WebLimits
    ) -> Steps[tuple[DictionaryCall, dict[str, bytes]]]:
        """Call a version as a dictionary of the Norman SDK asks, and give its outputs as bytes."""
        call = read_call(dictionary)
        timeout_s = check_timeout(timeout_s)
        version = yield from self.version(call.reference)
        check_titles(call, version)
        signature = version.signature or Signature()
        parameters = {parameter.name: parameter for parameter in signature.inputs}
        values: dict[str, Value] = {}
        for given in call.inputs:
            values[given.title] = yield from read_input(given, limits, parameters.get(given.title))
        message = Invoke(
            id=f"{next(self._ids):x}", reference=call.reference, timeout_s=timeout_s, values=values
        )
        result, _ = yield from self._deliver(message)
        declared = version.declaration
        wanted = None if declared is None else declared.output_format
        outputs: dict[str, bytes] = {}
        for title, value in result.values.items():
            outputs[title] = yield from work(partial(output_bytes, value, wanted, title))
        return call, outputs

    def _deliver(self, message: Invoke) -> Steps[tuple[Result, float]]:
        """Bring a call to the model, waiting out a restart of the executor."""
        begun = started = self._clock()
        timeout_s = message.timeout_s
        patience_s = min(timeout_s or math.inf, _RESTART_PATIENCE_S)
        while True:
            try:
                answer = yield from self._try_delivery(message)
                if isinstance(answer, Failure):
                    raise answer.to_error()
            except ExecutorUnavailable as error:  # refused before anything ran
                pause_s = max(_SHORTEST_PAUSE_S, min(error.retry_after_s, 1.0))
                if self._clock() + pause_s - begun > patience_s:
                    raise
                yield from pause(pause_s)
                started = self._clock()
                if timeout_s is not None:  # one deadline for all attempts together
                    left_s = max(timeout_s - (started - begun), _SHORTEST_PAUSE_S)
                    message = dataclasses.replace(message, timeout_s=left_s)
                continue
            latency_s = self._clock() - started
            if not isinstance(answer, Result):
                raise ProtocolViolation(f"A call was answered with {type(answer).__name__}.")
            return answer, latency_s

    def _try_delivery(self, message: Invoke) -> Steps[Message]:
        wait_s = _DEADLINE_GRACE_S + (message.timeout_s or _LONGEST_CALL_S)
        if self._transport != "rest":
            target = self._target or (yield from self._find())
            if target.socket_path is not None:
                try:
                    answer = yield from exchange(target, message, wait_s)
                except LinkUnavailable as error:
                    if self._transport == "local":
                        return (yield from self._try_successor(target, error, message, wait_s))
                else:
                    if self._transport == "local" or not _may_be_outdated(answer):
                        return answer
            elif self._transport == "local":
                raise ServerNotFound(
                    f"The server at {target.url} has no data socket that can be reached from here."
                )
        relayed = yield from self._call(invoke_request(message, answer_timeout_s=wait_s))
        return read_message(relayed)

    def _try_successor(
        self, target: Target, error: LinkUnavailable, message: Invoke, wait_s: float
    ) -> Steps[Message]:
        """Try the server that stands in the place of one without an executor, if there is one."""
        successor = yield from self._successor(target, _no_link(error))
        if successor.socket_path is None:
            raise _no_link(error) from error
        try:
            return (yield from exchange(successor, message, wait_s))
        except LinkUnavailable as second:
            raise _no_link(second) from second

    # --- uploads ------------------------------------------------------------------------------

    def _meet(self) -> Steps[None]:
        """Make sure that there is a server, before work for it begins."""
        yield from self._greet(self._target or (yield from self._find()))

    def _connect_handover(self) -> Handover | None:
        """Connect for files to be given by descriptor, where they may be; blocks."""
        if self._target is None or self._transport == "rest":
            return None
        return connect_handover(self._target)

    # --- downloads ----------------------------------------------------------------------------

    def download(
        self, reference: str, folder: PathLike | None, on_progress: OnProgress | None
    ) -> Steps[Path]:
        """Give a version's files back."""
        version = yield from self.version(reference)
        target = default_folder(version) if folder is None else Path(folder)
        tell = on_progress or _tell_nobody
        return (yield from fetch_version(self._call, version, target, tell))

    def load(self, reference: str, on_progress: OnProgress | None) -> Steps[LoadedModel]:
        """Load a version in this process."""
        from norman_jupyter.client import loading  # with NumPy, which other calls may do without

        version = yield from self.version(reference)
        signature = loading.check_loadable(version)
        folder = loading.cache_folder(version)
        tell = on_progress or _tell_nobody
        try:
            yield from fetch_version(self._call, version, folder, tell)
        except Conflict:
            if not folder.is_dir():
                raise
            yield from work(partial(loading.forget_cached, folder))
            yield from fetch_version(self._call, version, folder, tell)
        return (yield from work(partial(loading.load_version, version, signature, folder)))

    # --- questions ----------------------------------------------------------------------------

    def models(self, search: str | None, limit: int, cursor: str | None) -> Steps[ModelPage]:
        """List models."""
        question = get_request("models", search=search, limit=limit, cursor=cursor)
        return read_answer(ModelPage, (yield from self._call(question)))

    def model(self, name: str) -> Steps[ModelDetail]:
        """Tell of one model."""
        question = get_request(model_path(parse_name(name)))
        return read_answer(ModelDetail, (yield from self._call(question)))

    def version(self, reference: str) -> Steps[VersionDetail]:
        """Tell of one version."""
        question = get_request(version_path(parse_reference(reference)))
        return read_answer(VersionDetail, (yield from self._call(question)))

    def logs(self, reference: str, after: int | None) -> Steps[LogText]:
        """Give the end of a version's log, or what follows an offset."""
        question = get_request(f"{version_path(parse_reference(reference))}/logs", after=after)
        return read_answer(LogText, (yield from self._call(question)))

    def status(self) -> Steps[ServerStatus]:
        """Tell how the server is."""
        return read_answer(ServerStatus, (yield from self._call(get_request("status"))))

    def invocations(
        self,
        model: str | None,
        state: InvocationState | None,
        limit: int,
        cursor: str | None,
        since: datetime | None,
    ) -> Steps[InvocationPage]:
        """List invocations."""
        moment = None if since is None else since.astimezone(UTC).isoformat()
        question = get_request(
            "invocations", model=model, state=state, limit=limit, cursor=cursor, since=moment
        )
        return read_answer(InvocationPage, (yield from self._call(question)))

    def invocation(self, invocation_id: str) -> Steps[InvocationDetail]:
        """Tell of one invocation."""
        question = get_request(_invocation_path(invocation_id))
        return read_answer(InvocationDetail, (yield from self._call(question)))

    # --- calls that are kept ------------------------------------------------------------------

    def submit(
        self,
        reference: str,
        inputs: Mapping[str, Any] | None,
        timeout_s: float | None,
        idempotency_key: str | None,
        named: Mapping[str, Any],
    ) -> Steps[str]:
        """Have a call kept, and return the invocation's id."""
        message = Invoke(
            id="",
            reference=str(parse_reference(reference)),
            timeout_s=check_timeout(timeout_s),
            values=(yield from _encode(merge_inputs(inputs, named), self._pictures.of(reference))),
        )
        # With a key of its own in any case: a connection that is lost is then no question.
        key = new_id() if idempotency_key is None else idempotency_key
        request = kept(invoke_request(message, answer_timeout_s=_ANSWER_TIMEOUT_S), key)
        answer = yield from self._patiently(request)
        return read_answer(InvocationSummary, answer).id

    def result(self, invocation_id: str, timeout_s: float | None) -> Steps[InvokeResult]:
        """Wait for what a kept call gives."""
        limit_s = check_timeout(timeout_s)
        begun = self._clock()
        while True:
            left_s = math.inf if limit_s is None else limit_s - (self._clock() - begun)
            wait_s = max(0.0, min(left_s, _RESULT_WAIT_S))
            question = get_request(
                f"{_invocation_path(invocation_id)}/result",
                wait_s=wait_s,
                answer_timeout_s=_ANSWER_TIMEOUT_S + wait_s,
            )
            question = dataclasses.replace(question, accept=FRAME_MEDIA_TYPE)
            answer = yield from self._patiently(question)
            if answer.status != _GOES_ON:
                return self._read_call(answer)
            if left_s <= _RESULT_WAIT_S:
                raise TimedOut(
                    f"The invocation {invocation_id} goes on after {timeout_s:g} s. Wait again, or "
                    "cancel it.",
                    timeout_s=timeout_s,
                    invocation_id=invocation_id,
                )

    def cancel(self, invocation_id: str) -> Steps[InvocationDetail]:
        """Take a call back."""
        request = HttpRequest(method="DELETE", path=_invocation_path(invocation_id))
        return read_answer(InvocationDetail, (yield from self._call(request)))

    def replay(
        self, invocation_id: str, reference: str | None, timeout_s: float | None
    ) -> Steps[InvokeResult]:
        """Run the inputs of a call again."""
        text = None if reference is None else str(parse_reference(reference))
        limit_s = check_timeout(timeout_s)
        request = json_request(
            "POST",
            f"{_invocation_path(invocation_id)}/replay",
            ReplayRequest(reference=text, timeout_s=limit_s),
        )
        request = dataclasses.replace(
            request,
            accept=FRAME_MEDIA_TYPE,
            answer_timeout_s=_DEADLINE_GRACE_S + (limit_s or _LONGEST_CALL_S),
        )
        return self._read_call((yield from self._call(request)))

    def _read_call(self, answer: HttpAnswer) -> InvokeResult:
        message = read_message(answer)
        if not isinstance(message, Result):
            raise ProtocolViolation(f"A call was answered with {type(message).__name__}.")
        # It may have ended long ago: the time it took is the server's to tell.
        return read_result(message, message.timings.total_s, self._record_link(message))

    def _record_link(self, result: Result) -> str | None:
        """Return where the page that shows the notebook finds the record of a call."""
        target = self._target
        if target is None or not target.is_ours or not result.kept:
            return None
        # Without scheme and host: the browser may know the server by others than we do.
        return f"{urlsplit(target.url).path}{API_PATH}/{_invocation_path(result.invocation_id)}"

    def _patiently(self, request: HttpRequest) -> Steps[HttpAnswer]:
        """Send what may be sent twice, waiting out a restart of the server or its executor."""
        begun = self._clock()
        while True:
            try:
                answer = yield from self._call(request)
                if answer.status == _UNAVAILABLE:
                    raise_for_error(answer)
            except (ExecutorUnavailable, ServerNotFound) as error:
                pause_s = min(getattr(error, "retry_after_s", 1.0), 1.0)
                known = self._greeted is not None  # else there was no server to wait for
                if not known or self._clock() + pause_s - begun > _RESTART_PATIENCE_S:
                    raise
                yield from pause(pause_s)
            else:
                return answer

    # --- the server ---------------------------------------------------------------------------

    def _call(self, request: HttpRequest) -> Steps[HttpAnswer]:
        """Send a request to the server, to its successor where it was started anew."""
        target = self._target or (yield from self._find())
        try:
            yield from self._greet(target)
            return (yield from self._send(target, request))
        except (ServerNotFound, Unauthenticated) as error:
            successor = yield from self._successor(target, error)
        return (yield from self._send(successor, request))

    def _send(self, target: Target, request: HttpRequest) -> Steps[HttpAnswer]:
        try:
            answer = yield from send(target, request)
        except Interrupted:
            if request.method != "GET" and "Idempotency-Key" not in request.headers:
                raise
            answer = yield from send(target, request)  # asking twice does no harm
        if answer.status == 401:
            kind = "the token" if target.token else "a request without a token"
            raise Unauthenticated(
                f"The server at {target.url} (from {target.source}) refused {kind}. Pass the "
                "server's token: Norman(url=…, token=…), or NORMAN_TOKEN."
            )
        return answer

    def _find(self) -> Steps[Target]:
        """Look for the server; the first one that answers is kept."""
        targets = yield from work(partial(self._discover, None))
        refusal: NormanError | None = None
        for target in targets:
            # A record was checked already; whether Norman is at a mere URL shows by asking there.
            if target.server_id is None and not target.chosen:
                try:
                    yield from self._greet(target)
                except (ServerNotFound, Unauthenticated, Interrupted, ProtocolViolation) as error:
                    refusal = refusal or error
                    continue
            self._target = target
            return target
        raise refusal or ServerNotFound("No Norman server was found.")

    def _greet(self, target: Target) -> Steps[None]:
        """Check once, before the first request, that the right server answers at the URL."""
        if self._greeted == target:
            return
        answer = yield from self._send(target, get_request("status", answer_timeout_s=10.0))
        status = read_answer(ServerStatus, answer)
        if target.server_id is not None and status.server_id != target.server_id:
            raise ServerNotFound(
                f"Another server answers at {target.url} than {target.source}. Choose one with "
                "NORMAN_URL, or start Norman again."
            )
        self._greeted = target

    def _successor(self, target: Target, error: NormanError) -> Steps[Target]:
        """Look again: a server that was started anew has another address or token.

        Raises
        ------
        NormanError
            There is no other one: the error that made us look.
        """
        try:
            targets = yield from work(partial(self._discover, target))
        except NormanError:
            raise error from None
        others = [other for other in targets if other != target]
        if not others:
            raise error
        self._target = None
        for other in others:
            try:
                yield from self._greet(other)
            except NormanError:
                continue
            self._target = other
            return other
        raise error


def _encode(objects: Mapping[str, Any], pictures: frozenset[str]) -> Steps[dict[str, Value]]:
    if is_slow(objects, pictures):
        return (yield from work(partial(encode_inputs, objects, pictures)))
    return encode_inputs(objects, pictures)


def _invocation_path(invocation_id: str) -> str:
    return f"invocations/{quote(invocation_id, safe='')}"


def _no_link(error: LinkUnavailable) -> NormanError:
    if error.refusal is not None and not isinstance(error.refusal, ExecutorUnavailable):
        return error.refusal
    return ExecutorUnavailable(
        f"The executor can't be reached: {error}", retry_after_s=_SHORTEST_PAUSE_S
    )


def _may_be_outdated(answer: Message) -> bool:
    """Whether the executor refused what the server may know better.

    An executor that was started a moment ago hasn't heard of every version yet.
    """
    return isinstance(answer, Failure) and answer.code in _ROUTING_CODES


def _tell_nobody(progress: Progress) -> None:
    """Take progress where nobody asked for it."""
