"""The one tree of errors, each with a stable code and its facts as attributes."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar, TypeAlias

__all__ = [
    "BlobNotFound",
    "BundleInvalid",
    "Cancelled",
    "ConfigurationInvalid",
    "Conflict",
    "ExecutorUnavailable",
    "Forbidden",
    "IdempotencyConflict",
    "InputInvalid",
    "InternalError",
    "InterpreterRefused",
    "Interrupted",
    "InvocationNotFound",
    "LoadFailed",
    "ModelFailed",
    "ModelNotFound",
    "NameInvalid",
    "NormanError",
    "NotReady",
    "OutputInvalid",
    "PayloadTooLarge",
    "ProtocolViolation",
    "QueueFull",
    "RangeInvalid",
    "ReplicaDied",
    "RequestInvalid",
    "RouteNotFound",
    "RuntimeMissing",
    "ServerNotFound",
    "StorageFull",
    "TimedOut",
    "TrustRequired",
    "Unauthenticated",
    "VersionNotFound",
    "error_codes",
    "error_from_wire",
]

Details: TypeAlias = dict[str, Any]

_classes: dict[str, type[NormanError]] = {}


class NormanError(Exception):
    """Anything that Norman reports on purpose.

    Parameters
    ----------
    message
        What happened, to what, and what to try next. One or a few lines, for a person.
    **details
        The facts of the error: JSON values under the names that the class annotates.

    Attributes
    ----------
    code
        Stable name of the class on the wire, such as ``model_not_found``.
    message, request_id
        The text, and the request it answers (None where there was none).

    Examples
    --------
    >>> error = ModelNotFound("There is no model 'digit'.", name="digit", nearest=["digits"])
    >>> error.code, error.nearest
    ('model_not_found', ['digits'])
    """

    code: ClassVar[str] = "error"
    request_id: str | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__dict__.get("code", "error") in ("error", *_classes):
            raise TypeError(f"{cls.__name__} needs a code of its own, not {cls.code!r}")
        _classes[cls.code] = cls

    def __init__(self, message: str, /, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        known = self._facts()
        for name, value in details.items():
            if name not in known:
                raise TypeError(f"{type(self).__name__} has no fact {name!r}")
            setattr(self, name, value)

    @classmethod
    def _facts(cls) -> frozenset[str]:
        names: set[str] = set()
        for base in cls.__mro__:
            if issubclass(base, NormanError):
                names.update(inspect.get_annotations(base))
        return frozenset(names - {"code", "request_id"})

    @property
    def details(self) -> Details:
        """The facts that were given, as JSON values."""
        return {
            name: self.__dict__[name] for name in sorted(self._facts()) if name in self.__dict__
        }

    def __reduce__(self) -> tuple[Any, ...]:
        return (error_from_wire, (self.code, self.message, self.details, self.request_id))


class InternalError(NormanError):
    """A fault of ours; the server's log has the rest under the request's id."""

    code = "internal_error"


class RequestInvalid(NormanError):
    """The request doesn't say what it must, or says something unknown."""

    code = "request_invalid"
    field: str = ""
    nearest: list[str] = []  # noqa: RUF012 - a default that is never mutated


class ConfigurationInvalid(NormanError):
    """A model's configuration contradicts itself, its model, or what there is."""

    code = "configuration_invalid"
    field: str = ""
    nearest: list[str] = []  # noqa: RUF012 - a default that is never mutated


class NameInvalid(NormanError):
    """A model name, version or reference outside the grammar."""

    code = "name_invalid"
    name: str = ""


class Unauthenticated(NormanError):
    """No token, or one that this server doesn't know."""

    code = "unauthenticated"


class Forbidden(NormanError):
    """The caller is known and may not do this."""

    code = "forbidden"


class ModelNotFound(NormanError):
    """No model of that name."""

    code = "model_not_found"
    name: str = ""
    nearest: list[str] = []  # noqa: RUF012


class VersionNotFound(NormanError):
    """The model has no such version."""

    code = "version_not_found"
    reference: str = ""
    versions: list[int] = []  # noqa: RUF012
    nearest: list[str] = []  # noqa: RUF012


class InvocationNotFound(NormanError):
    """No invocation of that id."""

    code = "invocation_not_found"
    id: str = ""


class BlobNotFound(NormanError):
    """No blob of that digest is stored, or its bytes are not sound any more."""

    code = "blob_not_found"
    digest: str = ""


class NotReady(NormanError):
    """The version exists and can't serve: it is still loading, or it failed."""

    code = "not_ready"
    reference: str = ""
    state: str = ""


class RouteNotFound(NormanError):
    """The API has no such route."""

    code = "route_not_found"


class Conflict(NormanError):
    """The thing changed meanwhile, or stands in the way."""

    code = "conflict"
    name: str = ""


class IdempotencyConflict(NormanError):
    """The key stands for another call already."""

    code = "idempotency_conflict"
    key: str = ""
    invocation_id: str = ""


class BundleInvalid(NormanError):
    """What was to be uploaded is missing, empty, of no known format, or not what it claims."""

    code = "bundle_invalid"
    path: str = ""
    digests: list[str] = []  # noqa: RUF012


class TrustRequired(NormanError):
    """The format runs code when it is loaded, and nobody said that this may happen."""

    code = "trust_required"
    path: str = ""
    runtime: str = ""


class InterpreterRefused(NormanError):
    """The interpreter is neither a kernel's, nor this server's, nor on the allow-list."""

    code = "interpreter_refused"
    interpreter: str = ""


class RuntimeMissing(NormanError):
    """The interpreter lacks the package that loads this format."""

    code = "runtime_missing"
    runtime: str = ""
    package: str = ""
    interpreter: str = ""


class LoadFailed(NormanError):
    """The version could not be described, loaded or warmed up.

    ``traceback`` holds the model's own traceback where its code raised, ``log`` the end of what
    the worker wrote.
    """

    code = "load_failed"
    reference: str = ""
    exception: str = ""
    traceback: str = ""
    log: str = ""


class InputInvalid(NormanError):
    """An input is unknown, missing, or doesn't fit the signature; ``modality`` is what it takes."""

    code = "input_invalid"
    input: str = ""
    modality: str = ""
    expected: str = ""
    received: str = ""
    nearest: list[str] = []  # noqa: RUF012


class OutputInvalid(NormanError):
    """The model returned something that its signature or the wire can't carry."""

    code = "output_invalid"
    output: str = ""
    logs: str = ""
    invocation_id: str = ""


class ModelFailed(NormanError):
    """The model's own code raised; ``traceback`` points into it."""

    code = "model_failed"
    reference: str = ""
    exception: str = ""
    traceback: str = ""
    logs: str = ""
    invocation_id: str = ""


class ReplicaDied(NormanError):
    """The worker process ended in the middle of a call; the next call gets a new one."""

    code = "replica_died"
    reference: str = ""
    exit_status: str = ""
    log: str = ""
    invocation_id: str = ""


class Interrupted(NormanError):
    """The executor or the server ended in the middle of a call."""

    code = "interrupted"
    invocation_id: str = ""


class TimedOut(NormanError):
    """The deadline passed before the answer."""

    code = "timed_out"
    timeout_s: float = 0.0
    invocation_id: str = ""


class Cancelled(NormanError):
    """The caller took the call back."""

    code = "cancelled"
    invocation_id: str = ""


class QueueFull(NormanError):
    """Too much waits already."""

    code = "queue_full"
    reference: str = ""
    retry_after_s: float = 1.0


class ExecutorUnavailable(NormanError):
    """The executor is starting or restarting."""

    code = "executor_unavailable"
    retry_after_s: float = 1.0


class PayloadTooLarge(NormanError):
    """A body, frame or value is larger than its bound."""

    code = "payload_too_large"
    size_bytes: int = 0
    limit_bytes: int = 0


class RangeInvalid(NormanError):
    """A piece of an upload doesn't begin where the last one ended; ``offset`` is where it did."""

    code = "range_invalid"
    offset: int = 0


class ProtocolViolation(NormanError):
    """The bytes on a socket are not the protocol, or not a version of it that is spoken here."""

    code = "protocol_violation"


class StorageFull(NormanError):
    """The disk of the server's home is full."""

    code = "storage_full"


class ServerNotFound(NormanError):
    """No Norman server was found; the message says how to start one."""

    code = "server_not_found"


def error_codes() -> tuple[str, ...]:
    """Every code of the tree, sorted."""
    return tuple(sorted(_classes))


def _fits(value: Any, default: Any) -> bool:
    """Whether a fact from the wire has the type of the fact's default."""
    if isinstance(value, int) and not isinstance(value, bool) and isinstance(default, float):
        return True
    return type(value) is type(default)


def error_from_wire(
    code: str, message: str, details: Details | None = None, request_id: str | None = None
) -> NormanError:
    """Rebuild the error that a peer reported.

    A code or a detail that this side doesn't know yet is tolerated: an unknown code becomes a
    plain `NormanError` that keeps the code as an instance attribute; a detail that is unknown, or
    of another type than the fact has, is passed over.

    Examples
    --------
    >>> type(error_from_wire("queue_full", "busy", {"retry_after_s": 2.0})).__name__
    'QueueFull'
    """
    cls = _classes.get(code)
    error = NormanError(message) if cls is None else cls(message)
    if cls is None:
        error.__dict__["code"] = code
    known = error._facts()  # noqa: SLF001 - the tree's own builder
    for name, value in (details or {}).items():
        if name in known and _fits(value, getattr(cls, name)):
            setattr(error, name, value)
    error.request_id = request_id
    return error
