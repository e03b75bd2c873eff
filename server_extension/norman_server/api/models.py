"""Models and their versions."""

from __future__ import annotations

from functools import partial

from norman_protocol.errors import NameInvalid, RequestInvalid
from norman_protocol.references import ACTIVE, LATEST, Reference, parse_name, parse_reference
from norman_protocol.rest import EditRequest, LogText, PublishRequest
from norman_server.api.base import Handler
from norman_server.domain.records import VersionRecord
from norman_server.registry.rendering import version_detail

__all__ = [
    "DEFAULT_PAGE",
    "MAX_PAGE",
    "MAX_WAIT_S",
    "ModelHandler",
    "ModelsHandler",
    "VersionDiffHandler",
    "VersionHandler",
    "VersionLogsHandler",
    "VersionsHandler",
    "page_limit",
]

MAX_WAIT_S = 30.0
MAX_PAGE = 200
DEFAULT_PAGE = 50
_MANY_FILES = 200
_LOG_LIMIT_BYTES = 256 * 1024


def page_limit(given: int | None) -> int:
    """Return how many items a page has.

    Raises
    ------
    RequestInvalid
        Fewer than one or more than a page can have.
    """
    limit = DEFAULT_PAGE if given is None else given
    if not 1 <= limit <= MAX_PAGE:
        raise RequestInvalid(f"limit must be 1 to {MAX_PAGE}, not {limit}.", field="limit")
    return limit


def _reference(name: str, selector: str) -> Reference:
    if "@" in name or "@" in selector:
        raise NameInvalid(f"{name[:60]!r} and {selector[:60]!r} are no version.", name=name[:300])
    return parse_reference(f"{name}@{selector}")


class ModelsHandler(Handler):
    """All models."""

    async def get(self) -> None:
        """Answer with a page of models by name."""
        query = self.query()
        await self.answer(
            await self.services.registry.models(
                limit=page_limit(query["limit"]), cursor=query["cursor"], search=query["search"]
            )
        )


class ModelHandler(Handler):
    """One model."""

    async def get(self, name: str) -> None:
        """Answer with the model and its latest versions."""
        self.query()
        await self.answer(await self.services.registry.model(parse_name(name)))

    async def delete(self, name: str) -> None:
        """Delete the model with its versions and aliases."""
        self.query()
        deletions = self.services.deployments.deletions
        await self.answer(await deletions.delete_model(parse_name(name), user=self.user))


async def _answer_version(
    handler: Handler, record: VersionRecord, *, created: bool = True, status: int = 200
) -> None:
    detail = partial(version_detail, record, created=created)
    if len(record.manifest.files) > _MANY_FILES:
        await handler.answer_large(detail, status)
    else:
        await handler.answer(detail(), status)


class VersionsHandler(Handler):
    """The versions of a model."""

    async def get(self, name: str) -> None:
        """Answer with a page of the model's versions, newest first."""
        query = self.query()
        await self.answer(
            await self.services.registry.versions(
                name, limit=page_limit(query["limit"]), cursor=query["cursor"]
            )
        )

    async def post(self, name: str) -> None:
        """Make a version of stored blobs and begin to load it."""
        request = await self.decode_large_body(PublishRequest)
        record, created = await self.services.deployments.publish(
            parse_name(name), request, user=self.user
        )
        await _answer_version(self, record, created=created, status=202 if created else 200)


class VersionHandler(Handler):
    """One version."""

    async def get(self, name: str, selector: str) -> None:
        """Answer with the version, now or when it is no longer loading."""
        wait_s = self.query()["wait_s"]
        if wait_s is not None and not 0 <= wait_s <= MAX_WAIT_S:
            raise RequestInvalid(f"wait_s must be 0 to {MAX_WAIT_S:g}.", field="wait_s")
        record = await self.services.deployments.version(
            _reference(name, selector), wait_s=wait_s or 0.0
        )
        await _answer_version(self, record)

    async def delete(self, name: str, selector: str) -> None:
        """Delete the version."""
        stop = self.flag("stop")
        deletions = self.services.deployments.deletions
        await self.answer(
            await deletions.delete_version(_reference(name, selector), stop=stop, user=self.user)
        )

    async def patch(self, name: str, selector: str) -> None:
        """Change what is said of the version."""
        request = self.decode_body(EditRequest)
        record = await self.services.registry.edit(_reference(name, selector), request)
        await self.answer(version_detail(record))


class VersionDiffHandler(Handler):
    """Two versions of a model, compared."""

    async def get(self, name: str, selector: str, other: str) -> None:
        """Answer with what is different from the first to the second."""
        self.query()
        await self.answer(
            await self.services.registry.diff(_reference(name, selector), _reference(name, other))
        )


class VersionLogsHandler(Handler):
    """What a version's worker wrote."""

    async def get(self, name: str, selector: str) -> None:
        """Answer with the end of the log, or with what follows an offset in it."""
        after: int | None = self.query()["after"]
        if after is not None and not 0 <= after < 1 << 62:
            raise RequestInvalid("after is an offset in bytes, from 0 on.", field="after")
        registry = self.services.registry
        reference = _reference(name, selector)
        if reference.selector == ACTIVE:
            reference = await self._active_or_latest(reference.name)
        record = await registry.version(reference)
        part = await registry.log_part(record.id, after, _LOG_LIMIT_BYTES)
        await self.answer(
            LogText(
                reference=record.reference,
                text=part.text,
                truncated=part.truncated,
                end=part.end,
            )
        )

    async def _active_or_latest(self, name: str) -> Reference:
        # The log is wanted most where nothing is active: because the one version failed.
        detail = await self.services.registry.model(name)
        active = detail.model.active
        return Reference(name=detail.model.name, selector=LATEST if active is None else active)
