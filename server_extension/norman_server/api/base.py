"""The base of every handler: authentication before the body, bounded bodies, errors as JSON."""

from __future__ import annotations

import asyncio
import hmac
import re
import sys
from collections.abc import Awaitable, Callable
from http.client import responses
from typing import Any, ClassVar, TypeVar

from jupyter_server import CallContext
from jupyter_server.auth.identity import User
from jupyter_server.base.handlers import APIHandler
from tornado import iostream, web

from norman_protocol.decoding import decode, dump_json, encode, parse_json
from norman_protocol.errors import (
    Forbidden,
    InternalError,
    NormanError,
    PayloadTooLarge,
    RangeInvalid,
    RequestInvalid,
    RouteNotFound,
    Unauthenticated,
)
from norman_protocol.identifiers import new_id
from norman_protocol.packs import PACK_BYTES
from norman_protocol.rest import API_PATH, UPLOAD_OFFSET
from norman_server.api.operations import Action, Operation, Route, decode_query
from norman_server.api.relaying import (
    RELAY_PID,
    RELAY_SECRET,
    Hold,
    HolderGone,
    RelayedRequest,
    interrupted,
    pass_answer,
    read_relay_user,
)
from norman_server.api.services import (
    TAKEOVER_PATIENCE_S,
    Services,
    ServiceSlot,
    retry_after,
)
from norman_server.api.statuses import CODES, error_body, status_of
from norman_server.storage.memory import release_memory

__all__ = ["Handler", "too_large"]

T = TypeVar("T")
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
_BEARER = "Bearer "
_SLACK_BYTES = 1 << 20
_QUICK_BYTES = 64 << 10
_LENGTH_DIGITS = 18


@web.stream_request_body
class Handler(APIHandler):
    """Authenticates, authorises and decodes; subclasses answer.

    Bodies are streamed, because tornado otherwise reads the whole of one before `prepare` could
    refuse it.
    """

    slot: ServiceSlot
    route: Route
    operation: Operation
    request_id: str = ""

    CHARGES_BODY: ClassVar[bool] = True
    """Whether the body is held in memory, so that the budget counts it."""

    def initialize(self, slot: ServiceSlot, route: Route) -> None:
        """Take what the table of routes gives every handler."""
        self.slot = slot
        self.route = route
        self.body = bytearray()
        self.body_fault: NormanError | None = None
        self._charged_bytes = 0
        self._ends_connection = False
        self._refusal: Exception | None = None
        self.relayed: RelayedRequest | None = None
        self.relayed_by: str | None = None
        given = self.request.headers.get("X-Request-ID", "")
        self.request_id = given if _REQUEST_ID.fullmatch(given) else new_id()
        self.set_header("X-Request-ID", self.request_id)

    @property
    def services(self) -> Services:
        """The services behind the API."""
        return self.slot.services

    @property
    def user(self) -> str:
        """Name of the caller.

        Jupyter's default identity provider knows no names: whoever has its token is given an
        invented one, new in each session. That is the server's owner.
        """
        user = self.current_user
        if not isinstance(user, User) or user.display_name.startswith("Anonymous "):
            return self.slot.user
        return user.username

    # --- before the body --------------------------------------------------------------------

    async def prepare(self) -> None:  # type: ignore[override]  # as in APIHandler itself
        """Let in who may do this, before a byte of the body is read."""
        try:
            await self.admit()
        except Exception as error:
            if self._expects_body():
                # Answered at once; tornado then ends the connection, with the body unread.
                self._ends_connection = True
                raise
            # Answered in the verb's place: tornado would end this connection too, although there
            # is nothing more to read from it.
            self._refusal = error
            setattr(self, (self.request.method or "get").lower(), self._refuse)

    def _refuse(self, *_: str) -> None:
        if self._refusal is not None:
            raise self._refusal

    def _expects_body(self) -> bool:
        return "Transfer-Encoding" in self.request.headers or self.declared_bytes() > 0

    async def admit(self) -> None:
        """Check everything that can be checked without the body.

        Raises
        ------
        NormanError, web.HTTPError
            Whatever forbids the request.
        """
        if self.request.method == "OPTIONS":  # a browser asks before it sends credentials
            await super().prepare()
            return
        await self._authenticate()
        self.operation = await self._authorise()
        self._admit_body()
        await self.slot.wait_settled()
        if self.slot.link is not None:
            self.relayed = RelayedRequest(
                self, self.slot.link, streams=self.operation.body == "blob" and self._expects_body()
            )
            self._local_verb = getattr(self, (self.request.method or "get").lower())
            setattr(self, (self.request.method or "get").lower(), self._answer_from_holder)

    async def _answer_from_holder(self, *arguments: str) -> None:
        """Give the answer of the server that holds the home."""
        relayed = self.relayed
        if relayed is None or self._finished:
            return
        hold = Hold(TAKEOVER_PATIENCE_S)
        while True:
            try:
                response = await relayed.answer()
            except HolderGone as error:
                self.slot.lose(relayed.link)
                if relayed.streams or (error.was_sent and not self._may_repeat()):
                    raise interrupted() from error
                if hold.is_over():
                    raise relayed.link.unreachable() from error
            else:
                await pass_answer(self, response, relayed.link.base_path)
                return
            # Held, rather than refused: the next one takes over in a moment.
            await self.slot.wait_settled()
            link = self.slot.link
            if link is None:
                self.relayed = None
                outcome = self._local_verb(*arguments)
                if isinstance(outcome, Awaitable):
                    await outcome
                return
            relayed = self.relayed = RelayedRequest(self, link, streams=False)

    def _may_repeat(self) -> bool:
        return self.request.method in ("GET", "HEAD") or "Idempotency-Key" in self.request.headers

    async def _feed(self, chunk: bytes) -> None:
        """Pass a piece of a body on, or the answer back where that came before the body's end."""
        if self.relayed is None or self._finished or await self.relayed.feed(chunk):
            return
        self._ends_connection = True
        try:
            await self._answer_from_holder(*self.path_args)
        except NormanError as error:
            self.fail_body(error)

    async def _authenticate(self) -> None:
        if not self.check_host():
            raise Forbidden(
                "This server doesn't answer under that host name; see "
                "ServerApp.allow_remote_access."
            )
        if RELAY_SECRET in self.request.headers:
            self._admit_relay()
            return
        header = self.request.headers.get("Authorization", "")
        if header.startswith(_BEARER) and hmac.compare_digest(
            header[len(_BEARER) :].encode(), self.slot.token
        ):
            self._enter(User(username=self.slot.user))
            return
        try:
            await super().prepare()
        except web.HTTPError as error:
            if error.status_code == 403 and self.current_user is None:
                raise _unauthenticated() from error
            raise
        if self.current_user is None:
            raise _unauthenticated()

    def _admit_relay(self) -> None:
        """Let in another server of this home, which has checked its caller and speaks for them."""
        given = self.request.headers[RELAY_SECRET].encode()
        secret = self.slot.relay_secret
        if not secret or not hmac.compare_digest(given, secret):
            raise Forbidden("Only another Norman server of this home may relay requests.")
        self.relayed_by = self.request.headers.get(RELAY_PID)
        self._enter(User(username=read_relay_user(self.request.headers) or self.slot.user))

    def _enter(self, user: User) -> None:
        CallContext.set(CallContext.JUPYTER_HANDLER, self)
        self.current_user = self._jupyter_current_user = user
        self._token_authenticated = True
        self.set_cors_headers()

    async def _authorise(self) -> Operation:
        operation = self.route.verbs.get(self.request.method or "")
        action: Action = "read" if operation is None else operation.action
        allowed = self.authorizer.is_authorized(self, self.current_user, action, "norman")
        if isinstance(allowed, Awaitable):
            allowed = await allowed
        if not allowed:
            raise Forbidden(f"{self.user} may not {action} models on this server.")
        if operation is None and not self.route.operations:
            raise RouteNotFound(
                f"There is nothing under {self.request.path[:200]}. The routes are in "
                f"/{API_PATH}/openapi.json."
            )
        if operation is None:
            raise web.HTTPError(405, f"{self.request.method} is not a verb of this route.")
        return operation

    def _admit_body(self) -> None:
        limit_bytes = self.body_limit_bytes()
        declared = self.declared_bytes()
        if declared > limit_bytes:
            raise too_large(declared, limit_bytes)
        self._charge(declared)
        # tornado's own bound, which ends the connection without a word, is to come after ours.
        self.request.connection.set_max_body_size(limit_bytes + _SLACK_BYTES)  # type: ignore[union-attr]  # HTTP/1 has it

    def body_limit_bytes(self) -> int:
        """Return how long the body of this request may be."""
        limits = self.slot.limits
        match self.operation.body:
            case "none":
                return 0
            case "json":
                return limits.json_body_bytes
            case "frame":
                return limits.frame_body_bytes
            case "pack":
                return PACK_BYTES
            case "blob":
                return limits.blob_bytes

    def declared_bytes(self) -> int:
        """Return how long the body claims to be; 0 where it doesn't say."""
        text = self.request.headers.get("Content-Length", "0")
        if not (text.isascii() and text.isdecimal()):
            return 0
        # Python refuses to read numbers of thousands of digits; so many are too large anyhow.
        return int(text[:_LENGTH_DIGITS]) if len(text) <= _LENGTH_DIGITS else sys.maxsize

    # --- the body ---------------------------------------------------------------------------

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Collect the body."""
        if self.relayed is not None and self.relayed.streams:
            return self._feed(chunk)
        # Nothing may be raised here: tornado would end the connection without an answer.
        if self.body_fault is not None or self.request.method == "OPTIONS":
            return None
        received = len(self.body) + len(chunk)
        limit_bytes = self.body_limit_bytes()
        try:
            if received > limit_bytes:
                raise too_large(received, limit_bytes)
            self._charge(received)
        except NormanError as error:
            self.fail_body(error)
            return None
        self.body += chunk
        return None

    def fail_body(self, error: NormanError) -> None:
        """Answer now that the body can't be taken; the rest of it is not read."""
        self.body_fault = error
        self._ends_connection = True
        self.send_error(status_of(error), exc_info=(type(error), error, None))

    def _charge(self, total_bytes: int) -> None:
        if self.CHARGES_BODY and total_bytes > self._charged_bytes:
            self.slot.budget.take(total_bytes - self._charged_bytes)
            self._charged_bytes = total_bytes

    def release_body(self) -> None:
        """Forget the body and free its memory."""
        self.body = bytearray()
        self.slot.budget.give_back(self._charged_bytes)
        self._charged_bytes = 0

    def on_finish(self) -> None:
        """Free the body's memory."""
        self.release_body()

    def on_connection_close(self) -> None:
        """Free the body's memory where the client left before it was whole."""
        super().on_connection_close()
        if self.relayed is not None:
            self.relayed.cancel()
        self.release_body()

    def decode_body(self, cls: type[T]) -> T:
        """Decode the JSON body.

        Raises
        ------
        RequestInvalid
            Not JSON, or not what the class says.
        """
        return decode(cls, parse_json(self.body))

    async def decode_large_body(self, cls: type[T]) -> T:
        """Do as `decode_body`, in a thread where the body is so long that it takes a while."""
        if len(self.body) <= _QUICK_BYTES:
            return self.decode_body(cls)

        def decode() -> T:
            found = self.decode_body(cls)
            release_memory()
            return found

        return await asyncio.to_thread(decode)

    # --- the query --------------------------------------------------------------------------

    def query(self) -> dict[str, Any]:
        """Decode the query; parameters that were not given are None.

        Raises
        ------
        RequestInvalid
            A parameter is unknown, given twice, or not of its kind.
        """
        given = {
            name: [self.decode_argument(text, name) for text in texts]
            for name, texts in self.request.query_arguments.items()
        }
        return decode_query(self.operation.query, given)

    def flag(self, name: str) -> bool:
        """Decode the query, of which this parameter says yes (1) or no (0, or nothing).

        Raises
        ------
        RequestInvalid
            As for `query`, or it is another number.
        """
        given = self.query()[name]
        if given not in (None, 0, 1):
            raise RequestInvalid(f"{name} must be 0 or 1.", field=name)
        return bool(given)

    # --- answers ----------------------------------------------------------------------------

    def compute_etag(self) -> str | None:
        """Hash nothing: answers change, and hashing costs."""
        return None

    async def answer(self, value: Any, status: int = 200) -> None:
        """Finish with a dataclass as JSON."""
        self.set_status(status)
        await self.finish(dump_json(encode(value)))

    async def answer_large(self, make: Callable[[], Any], status: int = 200) -> None:
        """Finish with the dataclass that ``make`` gives; it is made and written in a thread."""

        def write() -> bytes:
            body = dump_json(encode(make()))
            release_memory()
            return body

        self.set_status(status)
        await self.finish(await asyncio.to_thread(write))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Report an error as `ErrorBody`; nothing of ours shows."""
        raised = kwargs.get("exc_info", (None, None, None))[1]
        error = _as_norman_error(raised, status_code)
        if isinstance(raised, NormanError):
            self.set_status(status_of(error), _reason(status_of(error)))
        self.set_header("X-Request-ID", self.request_id)
        if self._ends_connection:
            self.set_header("Connection", "close")
        if status_code == 405:
            self.set_header("Allow", ", ".join(self.route.verbs))
        if isinstance(error, Unauthenticated):
            self.set_header("WWW-Authenticate", "Bearer")
        if isinstance(error, RangeInvalid):
            self.set_header(UPLOAD_OFFSET, str(error.offset))
        pause = retry_after(error)
        if pause is not None:
            self.set_header("Retry-After", pause)
        self.finish(dump_json(encode(error_body(error, self.request_id))))

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        """Log what is our fault with the request's id; a caller's mistake is no news."""
        if isinstance(value, NormanError):
            self.log.debug("%s %s: %s", self.request_id, value.code, value.message)
            return
        if isinstance(value, iostream.StreamClosedError):
            self.log.debug("%s the client left before it was answered", self.request_id)
            return
        if isinstance(value, web.HTTPError):
            self.log.debug("%s HTTP %d: %s", self.request_id, value.status_code, value.log_message)
            return
        self.log.error(
            "Request %s (%s %s) failed",
            self.request_id,
            self.request.method,
            self.request.path,
            exc_info=None if value is None else (typ, value, tb),
        )


def _as_norman_error(raised: BaseException | None, status_code: int) -> NormanError:
    if isinstance(raised, NormanError):
        return raised
    if isinstance(raised, web.HTTPError) and status_code < 500:
        cls = CODES.get(status_code, RequestInvalid)
        # tornado doubles each % of a message without arguments.
        return cls((raised.log_message or _reason(status_code)).replace("%%", "%"))
    return InternalError(
        "Something went wrong in the server; its log has the rest under this request's id."
    )


def _reason(status: int) -> str:
    return "Client Closed Request" if status == 499 else responses.get(status, "Error")


def _unauthenticated() -> Unauthenticated:
    return Unauthenticated(
        "No token, or one that this server doesn't know. Send Authorization: Bearer <token>; a "
        "notebook of this server finds it by itself."
    )


def too_large(size_bytes: int, limit_bytes: int) -> PayloadTooLarge:
    """Make the error for a body over its bound."""
    if not limit_bytes:
        return PayloadTooLarge("This request takes no body.", size_bytes=size_bytes, limit_bytes=0)
    return PayloadTooLarge(
        f"The body has {size_bytes} bytes or more; at most {limit_bytes} are taken here.",
        size_bytes=size_bytes,
        limit_bytes=limit_bytes,
    )
