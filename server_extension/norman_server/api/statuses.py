"""The one table from error to HTTP status, and the body that reports an error."""

from __future__ import annotations

from http import HTTPStatus

from norman_protocol import errors
from norman_protocol.errors import NormanError
from norman_protocol.rest import ErrorBody

__all__ = ["CODES", "STATUSES", "error_body", "status_of"]

STATUSES: dict[type[NormanError], int] = {
    errors.RequestInvalid: 400,
    errors.ConfigurationInvalid: 400,
    errors.NameInvalid: 400,
    errors.BundleInvalid: 400,
    errors.ProtocolViolation: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.TrustRequired: 403,
    errors.InterpreterRefused: 403,
    errors.ModelNotFound: 404,
    errors.VersionNotFound: 404,
    errors.InvocationNotFound: 404,
    errors.BlobNotFound: 404,
    errors.RouteNotFound: 404,
    errors.Conflict: 409,
    errors.NotReady: 409,
    errors.PayloadTooLarge: 413,
    errors.RangeInvalid: 416,
    errors.IdempotencyConflict: 422,
    errors.InputInvalid: 422,
    errors.Cancelled: 499,
    errors.ModelFailed: 500,
    errors.LoadFailed: 500,
    errors.OutputInvalid: 500,
    errors.InternalError: 500,
    errors.RuntimeMissing: 500,
    errors.ReplicaDied: 502,
    errors.Interrupted: 502,
    errors.QueueFull: 503,
    errors.ExecutorUnavailable: 503,
    errors.ServerNotFound: 503,
    errors.TimedOut: 504,
    errors.StorageFull: 507,
}
"""Status of each class; a test sees to it that none is missing."""

CODES: dict[int, type[NormanError]] = {
    401: errors.Unauthenticated,
    403: errors.Forbidden,
    413: errors.PayloadTooLarge,
}
"""Class that reports an error which HTTP itself found; `RequestInvalid` below 500 otherwise."""


def status_of(error: NormanError) -> int:
    """Return the HTTP status of an error.

    Examples
    --------
    >>> status_of(errors.QueueFull("busy"))
    503
    """
    return STATUSES.get(type(error), int(HTTPStatus.INTERNAL_SERVER_ERROR))


def error_body(error: NormanError, request_id: str) -> ErrorBody:
    """Return the body of an answer that reports an error."""
    return ErrorBody(
        code=error.code, message=error.message, request_id=request_id, details=error.details
    )
