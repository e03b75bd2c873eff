"""The blocking client: carries out the steps of the core one after the other."""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from norman_jupyter.client.catalogue import BlockingCatalogue
from norman_jupyter.client.core import Core, PathLike, Transport
from norman_jupyter.client.dictionaries import (
    BlockingAnswer,
    check_alone,
    stream_bytes_blocking,
)
from norman_jupyter.client.effects import Effect, Exchange, Pause, Read, Send, Steps
from norman_jupyter.client.inputs import DEFAULT_IN_FLIGHT
from norman_jupyter.client.local_blocking import BlockingLinks
from norman_jupyter.client.mapping import OnRows, map_blocking
from norman_jupyter.client.metering import OnProgress
from norman_jupyter.client.rest_transport import BlockingHttp
from norman_jupyter.client.results import InvokeResult
from norman_jupyter.client.sources import SourceFailed
from norman_jupyter.client.submissions import BlockingSubmission
from norman_jupyter.client.surroundings import make_discovery
from norman_jupyter.client.uploading import Configured, PublishOptions
from norman_jupyter.client.web import WebLimits
from norman_jupyter.packaging.configuration import upload_keywords
from norman_protocol.messages import InvocationState
from norman_protocol.rest import (
    InvocationDetail,
    InvocationPage,
    LogText,
    ModelDetail,
    ModelPage,
    Origin,
    ServerStatus,
    VersionDetail,
)

if TYPE_CHECKING:
    from norman_jupyter.client.inspection import Inspection
    from norman_jupyter.client.loaded import LoadedModel

__all__ = ["BlockingNorman"]

T = TypeVar("T")


class BlockingNorman(BlockingCatalogue):
    """A client of a Norman server for code without ``await``; its twin is `Norman`.

    It blocks the thread that calls and nothing else, inside a running event loop too. Safe to use
    from several threads; a forked child makes connections of its own.

    Parameters
    ----------
    url
        Base URL of the Jupyter server. Where it is left out, the server is found by, in this
        order: ``NORMAN_URL`` and ``NORMAN_TOKEN``; the server that started this process;
        ``JUPYTER_SERVER_URL``; the only one that runs on this machine.
    token
        Norman's own token of that server, or Jupyter's.
    transport
        ``auto``: straight to the executor where it runs on this machine, else over REST;
        ``local`` or ``rest`` force one.
    web_limits
        How far a fetch of a Link goes, which only dictionaries of the Norman SDK have.

    Raises
    ------
    ValueError
        The transport is none of these.

    Notes
    -----
    The server is looked for at the first call, which raises `ServerNotFound` where there is none.

    Examples
    --------
    ::

        with BlockingNorman() as norman:
            norman.upload("./model", name="digits")
            result = norman.invoke("digits", image=array)
            print(result.value, result.latency_ms)
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        transport: Transport = "auto",
        web_limits: WebLimits | None = None,
    ) -> None:
        self._web_limits = web_limits or WebLimits()
        self._core = Core(make_discovery(url, token), transport=transport)
        self._catalogue = self._core.catalogue
        self._links = BlockingLinks()
        self._http = BlockingHttp()

    def upload(
        self,
        source: PathLike,
        *,
        name: str | None = None,
        label: str | None = None,
        description: str | None = None,
        long_description: str | None = None,
        tags: Iterable[str] = (),
        trust: bool = False,
        activate: bool = True,
        origin: Origin | None = None,
        on_progress: OnProgress | None = None,
        config: Configured | None = None,
        inputs: Sequence[Mapping[str, Any]] | None = None,
        outputs: Sequence[Mapping[str, Any]] | None = None,
        runtime: str | None = None,
        entry: str | None = None,
        output_format: str | None = None,
    ) -> VersionDetail:
        """Upload a file or folder as a new version and wait until it serves.

        See `Norman.upload`: same parameters, answer and errors.
        """
        return self._run(
            self._core.uploads.upload(
                source,
                config=config,
                keywords=upload_keywords(
                    name=name,
                    label=label,
                    description=description,
                    long_description=long_description,
                    tags=tags,
                    inputs=inputs,
                    outputs=outputs,
                    runtime=runtime,
                    entry=entry,
                    output_format=output_format,
                ),
                options=PublishOptions(
                    trust=trust, activate=activate, origin=origin, on_progress=on_progress
                ),
            )
        )

    def upload_model(
        self,
        config: Configured,
        *,
        name: str | None = None,
        label: str | None = None,
        description: str | None = None,
        long_description: str | None = None,
        tags: Iterable[str] = (),
        trust: bool = False,
        activate: bool = True,
        origin: Origin | None = None,
        on_progress: OnProgress | None = None,
    ) -> VersionDetail:
        """Upload a model whose files a dictionary names; see `Norman.upload_model`."""
        return self._run(
            self._core.uploads.upload_model(
                config,
                keywords=upload_keywords(
                    name=name,
                    label=label,
                    description=description,
                    long_description=long_description,
                    tags=tags,
                ),
                options=PublishOptions(
                    trust=trust, activate=activate, origin=origin, on_progress=on_progress
                ),
            )
        )

    def inspect(
        self,
        source: PathLike | Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        label: str | None = None,
        description: str | None = None,
        long_description: str | None = None,
        tags: Iterable[str] = (),
        config: Configured | None = None,
        inputs: Sequence[Mapping[str, Any]] | None = None,
        outputs: Sequence[Mapping[str, Any]] | None = None,
        runtime: str | None = None,
        entry: str | None = None,
        output_format: str | None = None,
    ) -> Inspection:
        """Tell what an upload would be: nothing is sent; see `Norman.inspect`."""
        keywords = upload_keywords(
            name=name,
            label=label,
            description=description,
            long_description=long_description,
            tags=tags,
            inputs=inputs,
            outputs=outputs,
            runtime=runtime,
            entry=entry,
            output_format=output_format,
        )
        if isinstance(source, Mapping):
            source, config = None, source
        return self._run(self._core.uploads.inspect(source, config=config, keywords=keywords))

    def download(
        self,
        reference: str,
        folder: PathLike | None = None,
        *,
        on_progress: OnProgress | None = None,
    ) -> Path:
        """Give the files of a version back, verified, in a folder; see `Norman.download`."""
        return self._run(self._core.download(reference, folder, on_progress))

    def load(self, reference: str, *, on_progress: OnProgress | None = None) -> LoadedModel:
        """Load a version in this process, with the outputs of the service; see `Norman.load`."""
        return self._run(self._core.load(reference, on_progress))

    @overload
    def invoke(
        self,
        reference: str,
        /,
        inputs: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
        **named: Any,
    ) -> InvokeResult: ...

    @overload
    def invoke(
        self, reference: Mapping[str, Any], /, *, timeout_s: float | None = None
    ) -> BlockingAnswer: ...

    def invoke(
        self,
        reference: str | Mapping[str, Any],
        /,
        inputs: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
        **named: Any,
    ) -> InvokeResult | BlockingAnswer:
        """Call a model and wait for its answer.

        See `Norman.invoke`: same parameters, answer (a plain iterator where a dictionary asks for
        a stream) and errors. A KeyboardInterrupt takes the call back and is raised on.
        """
        if isinstance(reference, Mapping):
            check_alone(inputs, named)
            call, outputs = self._run(
                self._core.invoke_dictionary(reference, timeout_s, self._web_limits)
            )
            return {
                title: stream_bytes_blocking(data) if call.outputs.get(title) == "stream" else data
                for title, data in outputs.items()
            }
        return self._run(self._core.invoke(reference, inputs, timeout_s, named))

    def map(
        self,
        reference: str,
        data: Any,
        /,
        inputs: Mapping[str, Any] | None = None,
        *,
        in_flight: int = DEFAULT_IN_FLIGHT,
        timeout_s: float | None = None,
        on_progress: OnRows | None = None,
        **named: Any,
    ) -> Any:
        """Call a model for each row and return a DataFrame in their order; see `Norman.map`.

        The calls are made on a thread of its own; rows of an iterator are read there too.

        Raises
        ------
        MapInterrupted
            Ctrl-C came. Its ``result`` has what was done, the rest marked.
        """
        return map_blocking(
            self._core,
            reference,
            data,
            inputs,
            named,
            in_flight=in_flight,
            timeout_s=timeout_s,
            on_progress=on_progress,
        )

    def models(
        self, *, search: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> ModelPage:
        """List models by name; see `Norman.models`."""
        return self._run(self._core.models(search, limit, cursor))

    def model(self, name: str) -> ModelDetail:
        """Return a model with its latest versions; see `Norman.model`."""
        return self._run(self._core.model(name))

    def version(self, reference: str) -> VersionDetail:
        """Return a version with its signature, origin and files; see `Norman.version`."""
        return self._run(self._core.version(reference))

    def logs(self, reference: str, *, after: int | None = None) -> LogText:
        """Return the end of what a version's worker wrote; see `Norman.logs`."""
        return self._run(self._core.logs(reference, after))

    def status(self) -> ServerStatus:
        """Return how the server, its executor and its deployments are; see `Norman.status`."""
        return self._run(self._core.status())

    def invocations(
        self,
        *,
        model: str | None = None,
        state: InvocationState | None = None,
        limit: int = 50,
        cursor: str | None = None,
        since: datetime | None = None,
    ) -> InvocationPage:
        """List recorded invocations, newest first; see `Norman.invocations`."""
        return self._run(self._core.invocations(model, state, limit, cursor, since))

    def invocation(self, id: str) -> InvocationDetail:  # noqa: A002 - the field's own name
        """Return one recorded invocation; see `Norman.invocation`."""
        return self._run(self._core.invocation(id))

    def submit(
        self,
        reference: str,
        /,
        inputs: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
        idempotency_key: str | None = None,
        **named: Any,
    ) -> BlockingSubmission:
        """Hand a call to the server and come back for its answer; see `Norman.submit`.

        ``wait()`` of what this returns gives the result.
        """
        invocation_id = self._run(
            self._core.submit(reference, inputs, timeout_s, idempotency_key, named)
        )
        return BlockingSubmission(
            id=invocation_id,
            _fetch=lambda wait_s: self._run(self._core.result(invocation_id, wait_s)),
        )

    def cancel(self, id: str) -> InvocationDetail:  # noqa: A002 - the field's own name
        """End a call, whoever made it; see `Norman.cancel`."""
        return self._run(self._core.cancel(id))

    def replay(
        self,
        id: str,  # noqa: A002 - the field's own name
        reference: str | None = None,
        *,
        timeout_s: float | None = None,
    ) -> InvokeResult:
        """Run the recorded inputs of a call again; see `Norman.replay`."""
        return self._run(self._core.replay(id, reference, timeout_s))

    def close(self) -> None:
        """Close all connections. Harmless when repeated."""
        self._links.close()
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self, steps: Steps[T]) -> T:
        try:
            effect = next(steps)
            while True:
                try:
                    outcome = self._perform(effect)
                except Exception as error:  # noqa: BLE001 - the operation decides, whatever it is
                    effect = steps.throw(error)
                else:
                    effect = steps.send(outcome)
        except StopIteration as end:
            answer: T = end.value
            return answer
        finally:
            steps.close()

    def _perform(self, effect: Effect) -> Any:
        if isinstance(effect, Exchange):
            return self._links.exchange(effect)
        if isinstance(effect, Send):
            return self._http.send(effect.target, effect.request)
        if isinstance(effect, Pause):
            time.sleep(effect.seconds)
            return None
        if isinstance(effect, Read):
            return _read(effect)
        return effect.run()


def _read(effect: Read) -> Any:
    method = effect.stream.read
    piece = method() if effect.size_bytes is None else method(effect.size_bytes)
    if inspect.isawaitable(piece):
        if inspect.iscoroutine(piece):
            piece.close()
        raise SourceFailed(
            "read() of its stream is a coroutine. Call with await: Norman instead of "
            "BlockingNorman."
        )
    return piece
