"""Versions and aliases of models: pages, switches, history, differences and edits.

The operations as steps, and as methods of both clients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar
from urllib.parse import quote

from norman_jupyter.client.effects import HttpAnswer, HttpRequest, Steps
from norman_jupyter.client.rest import (
    get_request,
    json_request,
    model_path,
    read_answer,
    version_path,
)
from norman_protocol.errors import RequestInvalid
from norman_protocol.references import ACTIVE, name_key, parse_alias, parse_name, parse_reference
from norman_protocol.rest import (
    AliasChange,
    AliasHistory,
    AliasPage,
    AliasRequest,
    Deletion,
    DiskUsage,
    DoctorReport,
    DoctorRequest,
    EditRequest,
    GarbageReport,
    GarbageRequest,
    RollbackRequest,
    VersionDetail,
    VersionDiff,
    VersionPage,
)

__all__ = ["AsyncioCatalogue", "BlockingCatalogue", "Catalogue"]

T = TypeVar("T")

_UPKEEP_S = 600.0
"""To look through every file of a large home takes minutes on a slow disk."""

_SWITCH_S = 360.0
"""A switch waits until the version is loaded; the server gives that a shorter deadline."""


class Catalogue:
    """The operations as steps; see `norman_jupyter.client.effects`.

    Parameters
    ----------
    call
        Sends a request to the server.
    """

    def __init__(self, call: Callable[[HttpRequest], Steps[HttpAnswer]]) -> None:
        self._call = call

    def versions(self, name: str, limit: int, cursor: str | None) -> Steps[VersionPage]:
        """List a model's versions."""
        path = f"{model_path(parse_name(name))}/versions"
        return (yield from self._ask(VersionPage, get_request(path, limit=limit, cursor=cursor)))

    def aliases(self, name: str, limit: int, cursor: str | None) -> Steps[AliasPage]:
        """List a model's aliases."""
        path = f"{model_path(parse_name(name))}/aliases"
        return (yield from self._ask(AliasPage, get_request(path, limit=limit, cursor=cursor)))

    def set_alias(
        self, name: str, alias: str, version: int, why: str | None, expected: int | None
    ) -> Steps[AliasChange]:
        """Let an alias lead to a version."""
        body = AliasRequest(version=version, why=why, expected=expected)
        request = json_request("PUT", _alias_path(name, alias), body)
        return (yield from self._ask(AliasChange, replace(request, answer_timeout_s=_SWITCH_S)))

    def delete_alias(self, name: str, alias: str, why: str | None) -> Steps[AliasChange]:
        """Take an alias away."""
        request = replace(get_request(_alias_path(name, alias), why=why), method="DELETE")
        return (yield from self._ask(AliasChange, request))

    def rollback(
        self, name: str, to: int | None, alias: str, why: str | None
    ) -> Steps[AliasChange]:
        """Let an alias lead where it led before."""
        body = RollbackRequest(to=to, why=why)
        request = json_request("POST", f"{_alias_path(name, alias)}/rollback", body)
        return (yield from self._ask(AliasChange, replace(request, answer_timeout_s=_SWITCH_S)))

    def history(
        self, name: str, alias: str | None, limit: int, cursor: str | None
    ) -> Steps[AliasHistory]:
        """List the changes of one alias or of all."""
        of = model_path(parse_name(name)) if alias is None else _alias_path(name, alias)
        question = get_request(f"{of}/history", limit=limit, cursor=cursor)
        return (yield from self._ask(AliasHistory, question))

    def diff(self, before: str, after: str) -> Steps[VersionDiff]:
        """Compare two versions of a model."""
        old, new = parse_reference(before), parse_reference(after)
        if name_key(old.name) != name_key(new.name):
            raise RequestInvalid(
                f"{before} and {after} are versions of two models. Compare two of one: "
                f"{old.name}@1 and {old.name}@2.",
                field="after",
            )
        selector = quote(str(new.selector), safe="")
        question = get_request(f"{version_path(old)}/diff/{selector}")
        return (yield from self._ask(VersionDiff, question))

    def edit(
        self,
        reference: str,
        label: str | None,
        description: str | None,
        long_description: str | None,
        tags: Iterable[str] | None,
    ) -> Steps[VersionDetail]:
        """Change what is said of a version."""
        body = EditRequest(
            label=label,
            description=description,
            long_description=long_description,
            tags=(tags,) if isinstance(tags, str) else None if tags is None else tuple(tags),
        )
        request = json_request("PATCH", version_path(parse_reference(reference)), body)
        return (yield from self._ask(VersionDetail, request))

    def delete(self, reference: str, stop: bool) -> Steps[Deletion]:
        """Delete a version."""
        found = parse_reference(reference)
        if "@" not in reference:
            raise RequestInvalid(
                f"Which version of {reference}? Name it: {reference}@1. Or delete the whole model.",
                field="reference",
            )
        request = get_request(version_path(found), stop=1 if stop else None)
        return (yield from self._ask(Deletion, replace(request, method="DELETE")))

    def delete_model(self, name: str) -> Steps[Deletion]:
        """Delete a model."""
        request = get_request(model_path(parse_name(name)))
        return (yield from self._ask(Deletion, replace(request, method="DELETE")))

    def disk(self, name: str | None) -> Steps[DiskUsage]:
        """Ask what takes the disk."""
        model = None if name is None else parse_name(name)
        question = replace(get_request("disk", model=model), answer_timeout_s=_UPKEEP_S)
        return (yield from self._ask(DiskUsage, question))

    def collect_garbage(self, dry_run: bool) -> Steps[GarbageReport]:
        """Have clean-up done."""
        request = json_request("POST", "garbage", GarbageRequest(dry_run=dry_run))
        request = replace(request, answer_timeout_s=_UPKEEP_S)
        return (yield from self._ask(GarbageReport, request))

    def doctor(self, repair: bool, deep: bool) -> Steps[DoctorReport]:
        """Have the home examined."""
        if repair:
            request = json_request("POST", "doctor", DoctorRequest(deep=deep))
        else:
            request = get_request("doctor", deep=1 if deep else None)
        request = replace(request, answer_timeout_s=_UPKEEP_S)
        return (yield from self._ask(DoctorReport, request))

    def _ask(self, answer: type[T], request: HttpRequest) -> Steps[T]:
        return read_answer(answer, (yield from self._call(request)))


def _alias_path(name: str, alias: str) -> str:
    return f"{model_path(parse_name(name))}/aliases/{quote(parse_alias(alias), safe='')}"


class AsyncioCatalogue:
    """The methods of `norman_jupyter.Norman` on versions and aliases."""

    _catalogue: Catalogue

    async def _run(self, steps: Steps[T]) -> T:
        raise NotImplementedError

    async def versions(
        self, name: str, *, limit: int = 50, cursor: str | None = None
    ) -> VersionPage:
        """List a model's versions, newest first, each with the aliases that lead to it.

        Parameters
        ----------
        limit, cursor
            At most so many, from 1 to 200; ``next_cursor`` of one page gives the next one.

        Raises
        ------
        ModelNotFound, NameInvalid
            There is none of that name.
        """
        return await self._run(self._catalogue.versions(name, limit, cursor))

    async def aliases(self, name: str, *, limit: int = 50, cursor: str | None = None) -> AliasPage:
        """List a model's aliases by name: where each leads, since when and by whom.

        Raises
        ------
        ModelNotFound, NameInvalid
            There is none of that name.
        """
        return await self._run(self._catalogue.aliases(name, limit, cursor))

    async def set_alias(
        self,
        name: str,
        alias: str,
        version: int,
        why: str | None = None,
        *,
        expected: int | None = None,
    ) -> AliasChange:
        """Let an alias lead to a version; calls go there from the answer on.

        The version is loaded and warm before the alias moves. Where that fails, the alias leads
        where it did.

        Parameters
        ----------
        alias
            Starts with a letter; case makes no difference. ``active`` is what a bare name means.
        version
            The version's number.
        why
            The reason, for the history.
        expected
            Number of the version where the alias must lead until now, 0 for one that isn't set.

        Raises
        ------
        ModelNotFound, VersionNotFound, NameInvalid
            There is no such model or version, or no alias can be called that.
        NotReady
            The version is loading, or failed.
        Conflict
            The alias leads elsewhere than expected.
        LoadFailed
            The version can't be started now.

        Examples
        --------
        ::

            await norman.set_alias("digits", "production", 3, why="better on sevens")
            await norman.invoke("digits@production", image=array)
        """
        steps = self._catalogue.set_alias(name, alias, version, why, expected)
        return await self._run(steps)

    async def delete_alias(self, name: str, alias: str, why: str | None = None) -> AliasChange:
        """Take an alias away. Its history stays, and `rollback` brings it back.

        Raises
        ------
        ModelNotFound, VersionNotFound, NameInvalid
            There is no such model or alias; ``nearest`` has similar ones.
        """
        return await self._run(self._catalogue.delete_alias(name, alias, why))

    async def rollback(
        self,
        name: str,
        to: int | None = None,
        alias: str = ACTIVE,
        why: str | None = None,
    ) -> AliasChange:
        """Let an alias lead to the version before; again and again walks further back.

        Parameters
        ----------
        to
            Number of the version to go back to; by default the one before in the history.

        Raises
        ------
        ModelNotFound, VersionNotFound, NameInvalid
            There is no such model, alias or version.
        Conflict
            There is nothing before, or the alias was moved meanwhile.
        NotReady, LoadFailed
            The version can't serve; the alias leads where it did.
        """
        return await self._run(self._catalogue.rollback(name, to, alias, why))

    async def history(
        self,
        name: str,
        alias: str | None = None,
        *,
        limit: int = 50,
        cursor: str | None = None,
    ) -> AliasHistory:
        """List the changes of an alias, by default of every alias of a model, newest first.

        Raises
        ------
        ModelNotFound, VersionNotFound, NameInvalid
            There is no such model, or the alias was never set.
        """
        return await self._run(self._catalogue.history(name, alias, limit, cursor))

    async def diff(self, before: str, after: str) -> VersionDiff:
        """Say what is different between two versions of a model.

        Parameters
        ----------
        before, after
            References, such as ``digits@1`` and ``digits@production``.

        Raises
        ------
        RequestInvalid
            They are versions of two models.
        ModelNotFound, VersionNotFound, NotReady, NameInvalid
            A reference leads to no version.
        """
        return await self._run(self._catalogue.diff(before, after))

    async def edit(
        self,
        reference: str,
        *,
        label: str | None = None,
        description: str | None = None,
        long_description: str | None = None,
        tags: Iterable[str] | None = None,
    ) -> VersionDetail:
        """Change what is said of a version. What is left out stays, an empty text removes.

        Parameters
        ----------
        tags
            All of them, in place of those there are; may be one text.

        Raises
        ------
        RequestInvalid
            A text is too long or none, or nothing is to be changed.
        ModelNotFound, VersionNotFound, NotReady, NameInvalid
            The reference leads to no version.
        """
        steps = self._catalogue.edit(reference, label, description, long_description, tags)
        return await self._run(steps)

    async def delete(self, reference: str, *, stop: bool = False) -> Deletion:
        """Delete a version. Its number is never given again, and recorded calls of it stay.

        Parameters
        ----------
        reference
            The version, as ``name@3``.
        stop
            Stop a replica of it that has nothing to do, instead of refusing.

        Raises
        ------
        ModelNotFound, VersionNotFound, NameInvalid
            There is no such version, or not any more.
        Conflict
            An alias leads to it, a replica serves it, or it is being loaded; the message says
            which, and what to do.
        """
        return await self._run(self._catalogue.delete(reference, stop))

    async def delete_model(self, name: str) -> Deletion:
        """Delete a model with all its versions and aliases.

        Raises
        ------
        ModelNotFound, NameInvalid
            There is none of that name.
        Conflict
            A version of it is being loaded, or has calls that run or wait.
        """
        return await self._run(self._catalogue.delete_model(name))

    async def disk(self, name: str | None = None) -> DiskUsage:
        """Return what takes the disk of the server, in bytes.

        Parameters
        ----------
        name
            List the versions of this model only; the sums are the home's all the same.

        Raises
        ------
        ModelNotFound, NameInvalid
            There is none of that name.
        """
        return await self._run(self._catalogue.disk(name))

    async def collect_garbage(self, *, dry_run: bool = False) -> GarbageReport:
        """Remove what no version needs any more; the server does so by itself, too.

        Files stay for a grace (`NormanExtension.gc_grace_s`, a day) after they were last asked for.

        Parameters
        ----------
        dry_run
            Only say what would go.
        """
        return await self._run(self._catalogue.collect_garbage(dry_run))

    async def doctor(self, *, repair: bool = False, deep: bool = False) -> DoctorReport:
        """Have everything that the server keeps checked; an empty list of findings is good.

        Parameters
        ----------
        repair
            Mend what can be mended without losing anything.
        deep
            Read every stored byte, so that damage on the disk is found: as long as that takes.
        """
        return await self._run(self._catalogue.doctor(repair, deep))


class BlockingCatalogue:
    """The methods of `norman_jupyter.BlockingNorman` on versions and aliases."""

    _catalogue: Catalogue

    def _run(self, steps: Steps[T]) -> T:
        raise NotImplementedError

    def versions(self, name: str, *, limit: int = 50, cursor: str | None = None) -> VersionPage:
        """List a model's versions, newest first; see `Norman.versions`."""
        return self._run(self._catalogue.versions(name, limit, cursor))

    def aliases(self, name: str, *, limit: int = 50, cursor: str | None = None) -> AliasPage:
        """List a model's aliases by name; see `Norman.aliases`."""
        return self._run(self._catalogue.aliases(name, limit, cursor))

    def set_alias(
        self,
        name: str,
        alias: str,
        version: int,
        why: str | None = None,
        *,
        expected: int | None = None,
    ) -> AliasChange:
        """Let an alias lead to a version, once that one is warm; see `Norman.set_alias`."""
        return self._run(self._catalogue.set_alias(name, alias, version, why, expected))

    def delete_alias(self, name: str, alias: str, why: str | None = None) -> AliasChange:
        """Take an alias away; see `Norman.delete_alias`."""
        return self._run(self._catalogue.delete_alias(name, alias, why))

    def rollback(
        self,
        name: str,
        to: int | None = None,
        alias: str = ACTIVE,
        why: str | None = None,
    ) -> AliasChange:
        """Let an alias lead to the version before; see `Norman.rollback`."""
        return self._run(self._catalogue.rollback(name, to, alias, why))

    def history(
        self,
        name: str,
        alias: str | None = None,
        *,
        limit: int = 50,
        cursor: str | None = None,
    ) -> AliasHistory:
        """List the changes of one alias or of all, newest first; see `Norman.history`."""
        return self._run(self._catalogue.history(name, alias, limit, cursor))

    def diff(self, before: str, after: str) -> VersionDiff:
        """Say what is different between two versions of a model; see `Norman.diff`."""
        return self._run(self._catalogue.diff(before, after))

    def edit(
        self,
        reference: str,
        *,
        label: str | None = None,
        description: str | None = None,
        long_description: str | None = None,
        tags: Iterable[str] | None = None,
    ) -> VersionDetail:
        """Change what is said of a version; see `Norman.edit`."""
        steps = self._catalogue.edit(reference, label, description, long_description, tags)
        return self._run(steps)

    def delete(self, reference: str, *, stop: bool = False) -> Deletion:
        """Delete a version. Its number is never given again, and recorded calls of it stay.

        Parameters
        ----------
        reference
            The version, as ``name@3``.
        stop
            Stop a replica of it that has nothing to do, instead of refusing.

        Raises
        ------
        ModelNotFound, VersionNotFound, NameInvalid
            There is no such version, or not any more.
        Conflict
            An alias leads to it, a replica serves it, or it is being loaded; the message says
            which, and what to do.
        """
        return self._run(self._catalogue.delete(reference, stop))

    def delete_model(self, name: str) -> Deletion:
        """Delete a model with all its versions and aliases.

        Raises
        ------
        ModelNotFound, NameInvalid
            There is none of that name.
        Conflict
            A version of it is being loaded, or has calls that run or wait.
        """
        return self._run(self._catalogue.delete_model(name))

    def disk(self, name: str | None = None) -> DiskUsage:
        """Return what takes the disk of the server, in bytes.

        Parameters
        ----------
        name
            List the versions of this model only; the sums are the home's all the same.

        Raises
        ------
        ModelNotFound, NameInvalid
            There is none of that name.
        """
        return self._run(self._catalogue.disk(name))

    def collect_garbage(self, *, dry_run: bool = False) -> GarbageReport:
        """Remove what no version needs any more; the server does so by itself, too.

        Files stay for a grace (`NormanExtension.gc_grace_s`, a day) after they were last asked for.

        Parameters
        ----------
        dry_run
            Only say what would go.
        """
        return self._run(self._catalogue.collect_garbage(dry_run))

    def doctor(self, *, repair: bool = False, deep: bool = False) -> DoctorReport:
        """Have everything that the server keeps checked; an empty list of findings is good.

        Parameters
        ----------
        repair
            Mend what can be mended without losing anything.
        deep
            Read every stored byte, so that damage on the disk is found: as long as that takes.
        """
        return self._run(self._catalogue.doctor(repair, deep))
