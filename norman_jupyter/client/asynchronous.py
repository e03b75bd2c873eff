"""The asyncio client: carries out the steps of the core on the running loop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from norman_jupyter.client.asyncio_driver import AsyncioDriver
from norman_jupyter.client.catalogue import AsyncioCatalogue
from norman_jupyter.client.core import Core, PathLike, Transport
from norman_jupyter.client.dictionaries import Answer, check_alone, stream_bytes
from norman_jupyter.client.effects import Steps
from norman_jupyter.client.inputs import DEFAULT_IN_FLIGHT, merge_inputs
from norman_jupyter.client.mapping import MapRun, OnRows
from norman_jupyter.client.metering import OnProgress
from norman_jupyter.client.results import InvokeResult
from norman_jupyter.client.submissions import Submission
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

__all__ = ["Norman"]

T = TypeVar("T")


class Norman(AsyncioCatalogue):
    """A client of a Norman server for ``await``; its blocking twin is `BlockingNorman`.

    One client serves many calls at once, and each event loop it is used from has its own
    connections. Use it as an async context manager, or call `close` on the loop it was used on.

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
    The server is looked for at the first call. Every method raises, beside what it lists,
    `ServerNotFound` (none was found, or it is gone; the message says how to start one),
    `Unauthenticated` (the token is wrong), `Interrupted` (the server ended in the middle) and
    `TimedOut`.

    Examples
    --------
    ::

        async with Norman() as norman:
            await norman.upload("./model", name="digits")
            result = await norman.invoke("digits", image=array)
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
        self._driver = AsyncioDriver()

    async def upload(
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

        Only files that the server doesn't have yet are sent. The same files with the same settings
        again are the same version (``created`` is then False). Any failure leaves the version that
        served before serving.

        Parameters
        ----------
        source
            An ``.onnx`` or ``.pt`` file, a folder with one at its root, or a folder with
            ``model.py``. What a ``norman.toml`` in the folder says of the model counts
            (docs/configuration.md).
            Left out is what its ``.normanignore`` names (written like a ``.gitignore``), and by
            default ``.git``, ``.venv``, ``node_modules``, ``__pycache__``, ``*.pyc``,
            ``.ipynb_checkpoints`` and ``.DS_Store``. Links are followed as long as they stay
            inside.
        name
            Of the model; default: the folder's name, or the file's without its suffix.
        label, description, long_description, tags
            Free text that is kept with the version; ``tags`` may be one text.
        trust
            Allow the bundle to run its code when it is loaded; needed for ``model.py``.
        activate
            Make it the version that a bare ``name`` means, once it is ready.
        origin
            Where it came from; collected here by default.
        on_progress
            Called with a `Progress` now and then, on this thread.
        config
            What is said of the model: a dictionary with the keys of ``norman.toml``, or the path
            of a TOML or JSON file. It counts before ``norman.toml``, key by key.
        inputs, outputs, runtime, entry, output_format
            The same keys one by one; they count before ``config``, as do ``name``, ``label``,
            ``description``, ``long_description`` and ``tags``.

        Returns
        -------
        VersionDetail
            The version, ready, with its signature.

        Raises
        ------
        ConfigurationInvalid
            What is said of the model has an unknown key or value (the message names the nearest),
            or contradicts itself or the model.
        BundleInvalid
            Missing, empty, of no known format, changed meanwhile, or not what it claims.
        TrustRequired
            It runs code on load, and ``trust`` is False. Nothing was sent.
        NameInvalid
            The name can't be a model's.
        LoadFailed, RuntimeMissing
            The version was stored and can't be loaded; the error has the model's traceback and
            the log.
        StorageFull, PayloadTooLarge
            The server can't take it.

        Examples
        --------
        ::

            version = await norman.upload("digits.onnx", label="first", tags=["demo"])
            print(version.reference)  # digits@1
        """
        return await self._run(
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

    async def upload_model(
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
        """Upload a model whose files a dictionary names, as the Norman SDK has it.

        Parameters
        ----------
        config
            ``{"name", "version_label", "short_description", "long_description", "assets":
            [{"asset_name", "data", "source"}], "inputs": [{"display_title", "data_encoding",
            "receive_format", "parameters": [{"parameter_name", "data_encoding"}]}], "outputs":
            […], "model_type", …}``, or the path of a TOML or JSON file with that. The data of an
            asset is bytes, a path, an http or https URL (fetched here), or an object with
            ``read()``; ``source`` says which where it can't be told. docs/configuration.md lists
            every key. The paths in a file are relative to its folder.
        name, label, description, long_description, tags
            Count before the configuration's.
        trust, activate, origin, on_progress
            As for `upload`.

        Returns
        -------
        VersionDetail
            The version, ready, with its signature.

        Raises
        ------
        ConfigurationInvalid
            A key or value isn't known (the message names the nearest), or contradicts another one
            or the model.
        BundleInvalid
            An asset can't be had, or no format fits.
        TrustRequired, NameInvalid, LoadFailed, RuntimeMissing, StorageFull, PayloadTooLarge
            As for `upload`.

        Examples
        --------
        ::

            await norman.upload_model({
                "name": "image_reverser",
                "assets": [{"asset_name": "weights", "data": "./model.pt"}],
                "inputs": [{
                    "display_title": "Input Image",
                    "data_encoding": "png",
                    "receive_format": "File",
                    "parameters": [{"parameter_name": "image", "data_encoding": "png"}],
                }],
                "outputs": [{
                    "display_title": "Output Image",
                    "data_encoding": "png",
                    "receive_format": "File",
                    "parameters": [{"parameter_name": "mirror_image", "data_encoding": "png"}],
                }],
            })
        """
        return await self._run(
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

    async def inspect(
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
        """Tell what an upload would be, from the files alone: nothing is sent.

        Parameters
        ----------
        source
            As for `upload`, or a dictionary as for `upload_model` (its links are fetched). None:
            the files that ``config`` names.
        name, label, description, long_description, tags, config, inputs, outputs, runtime, \
        entry, output_format
            As for `upload`.

        Returns
        -------
        Inspection
            Format, signature as far as files and configuration tell, files, size, what would run
            when it is loaded, and the memory to expect.

        Raises
        ------
        BundleInvalid, ConfigurationInvalid, NameInvalid
            As for `upload`. A model that needs trust is inspected all the same.

        Examples
        --------
        ::

            inspection = await norman.inspect("./model")
            inspection.needs_trust, inspection.expected_memory_bytes
        """
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
        return await self._run(self._core.uploads.inspect(source, config=config, keywords=keywords))

    async def download(
        self,
        reference: str,
        folder: PathLike | None = None,
        *,
        on_progress: OnProgress | None = None,
    ) -> Path:
        """Give the files of a version back, verified, in a folder.

        The folder appears when all of it is there. In one that stands already, files with the
        right bytes stay as they are, and nothing is overwritten.

        Parameters
        ----------
        reference
            ``digits`` (its active version), ``digits@3``, ``digits@latest`` or an alias; the
            version may be in any state.
        folder
            Default: ``digits-3`` in the current folder.
        on_progress
            Called with a `Progress` now and then, on this thread.

        Returns
        -------
        Path
            The folder, absolute.

        Raises
        ------
        Conflict
            Something else stands where a file belongs, or the folder can't be written.
        BundleInvalid, BlobNotFound
            The server's bytes are damaged or gone; nothing is kept here.
        StorageFull
            The disk here is full; nothing is kept.
        ModelNotFound, VersionNotFound, NotReady, NameInvalid
            The reference leads to none.

        Examples
        --------
        ::

            folder = await norman.download("digits@2", "./digits-as-served")
        """
        return await self._run(self._core.download(reference, folder, on_progress))

    async def load(self, reference: str, *, on_progress: OnProgress | None = None) -> LoadedModel:
        """Load a version in this process: the model itself, with the outputs of the service.

        Its files are fetched once and kept, held to their digests at each load, in
        ``~/.cache/norman``. A ``model.py`` runs its code **here, with your rights**: that is done
        only for versions that somebody trusted at the server (``--trust``), and only for the very
        files that were trusted. Load from servers that you trust.

        Parameters
        ----------
        reference
            ``digits`` (its active version), ``digits@3``, ``digits@latest`` or an alias.
        on_progress
            Called with a `Progress` now and then, on this thread.

        Returns
        -------
        LoadedModel
            ``predict(**inputs)``, or a call, gives the outputs by name; ``native`` is the model
            as its framework knows it.

        Raises
        ------
        TrustRequired
            It runs code on load, and nobody trusted it at the server. Nothing was fetched.
        RuntimeMissing
            This interpreter lacks the package that loads the format.
        LoadFailed
            It can't be loaded here; where its code raised, that is the error's cause.
        NotReady
            It never loaded at the server.
        BundleInvalid, BlobNotFound, Conflict, StorageFull
            As for `download`.
        ModelNotFound, VersionNotFound, NameInvalid
            The reference leads to none.

        Examples
        --------
        ::

            model = await norman.load("digits@2")
            model(image=np.zeros((1, 64), np.float32))["label"]
        """
        return await self._run(self._core.load(reference, on_progress))

    @overload
    async def invoke(
        self,
        reference: str,
        /,
        inputs: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
        **named: Any,
    ) -> InvokeResult: ...

    @overload
    async def invoke(
        self, reference: Mapping[str, Any], /, *, timeout_s: float | None = None
    ) -> Answer: ...

    async def invoke(
        self,
        reference: str | Mapping[str, Any],
        /,
        inputs: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
        **named: Any,
    ) -> InvokeResult | Answer:
        """Call a model.

        Parameters
        ----------
        reference
            ``digits`` (its active version), ``digits@3``, ``digits@latest`` or an alias. Or the
            whole call as a dictionary of the Norman SDK: ``{"model_name", "inputs":
            [{"display_title", "data", "source"}], "outputs": [{"display_title",
            "consume_mode"}]}``. What it gives then is a dictionary from output title to bytes, or
            to an async iterator of bytes where ``consume_mode`` is ``stream``.
        inputs
            Values by input name. A NumPy array, or what converts to one (a tensor, a series),
            goes as a tensor of its own dtype and shape, row-major; ``str`` as text; ``bytes`` and
            a ``Path`` (its file is read here) as bytes; ``None``, numbers, lists and dictionaries
            as JSON, which the model's side converts to what its signature says.
        timeout_s
            Seconds for queue and execution together; default: the server's own limit.
        **named
            Inputs by keyword; joined with ``inputs``.

        Returns
        -------
        InvokeResult
            A mapping from output name to value; ``.value`` where there is one.

        Raises
        ------
        InputInvalid
            An input is unknown, missing, given twice, or of another kind, dtype or shape.
        ModelNotFound, VersionNotFound, NotReady, NameInvalid
            Nothing serves under the reference.
        ModelFailed, OutputInvalid
            The model's own code raised, or returned what can't be sent.
        ReplicaDied, Interrupted
            The worker, or the executor, ended in the middle; the next call gets a new one.
        TimedOut, QueueFull, ExecutorUnavailable
            It took too long, or there is no room for it now.

        Notes
        -----
        Cancelling the awaiting task takes the call back; other calls go on.

        Examples
        --------
        ::

            result = await norman.invoke("digits@2", image=np.zeros((1, 64), np.float32))
            result["label"], result.latency_ms
        """
        if isinstance(reference, Mapping):
            check_alone(inputs, named)
            call, outputs = await self._run(
                self._core.invoke_dictionary(reference, timeout_s, self._web_limits)
            )
            return {
                title: stream_bytes(data) if call.outputs.get(title) == "stream" else data
                for title, data in outputs.items()
            }
        return await self._run(self._core.invoke(reference, inputs, timeout_s, named))

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
    ) -> MapRun:
        """Call a model for each row of a table, so many at once, and return all in their order.

        Parameters
        ----------
        reference
            As for `invoke`. It is resolved once: every row is answered by the same version.
        data
            A DataFrame of pandas; a list (or an iterator) of dictionaries; a dictionary of
            columns; a pattern of files such as ``images/*.png``, or a folder; an array, whose
            first axis are the rows; a list of values. Columns are matched to inputs by name;
            others are not sent and come back as they are, but one that looks like a misspelt
            input is an error. What has no names is given to the only input that must be given.
            An empty cell (``None``, ``NA``) leaves an optional input out. Text for an input of
            images, sound, video or files names a file. A row of a tensor may lack leading axes,
            such as that of the batch; the outputs then lack it too.
        inputs, named
            Inputs that are the same for every row.
        in_flight
            How many calls are under way at once, 1 to 256. Their inputs together take at most
            64 MiB, apart from a single larger one.
        timeout_s
            Of each call. A row that finds the queue full waits for up to five minutes.
        on_progress
            Called with a `MapProgress` now and then; here on the loop, with `BlockingNorman` on
            the calling thread.

        Returns
        -------
        MapRun
            ``await`` gives a DataFrame: what was given, with a column for each output (called
            ``NAME_output`` beside a column of that name) and ``error``, which holds the reason
            where a row failed. Without pandas it is a list of dictionaries. ``async for`` gives a
            `MappedRow` after the other. `BlockingNorman.map` returns the DataFrame.

        Raises
        ------
        InputInvalid
            The data can't be read as rows, or no row would fit. Nothing was sent.
        MapInterrupted
            Of `BlockingNorman`: Ctrl-C came. Its ``result`` has what was done, the rest marked.
        ModelNotFound, VersionNotFound, NotReady, NameInvalid
            The reference leads to none.

        Notes
        -----
        A row that fails takes no other along. Where the server goes away for good, what was done
        is returned and the rest is marked. Cancelling the awaiting task takes the calls back.

        Examples
        --------
        ::

            answers = await norman.map("digits", frame)
            answers[answers["error"].isna()]

            async for row in norman.map("digits", "images/*.png", top=3):
                print(row.number, row.outputs or row.error)
        """
        return MapRun(
            self._core,
            self._driver,
            reference,
            data,
            merge_inputs(inputs, named),
            in_flight=in_flight,
            timeout_s=timeout_s,
            on_progress=on_progress,
        )

    async def models(
        self, *, search: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> ModelPage:
        """List models by name.

        Parameters
        ----------
        search
            Only those with this text in their name, or in a label, description or tag of a version.
        limit, cursor
            At most so many; ``next_cursor`` of one page gives the next one.
        """
        return await self._run(self._core.models(search, limit, cursor))

    async def model(self, name: str) -> ModelDetail:
        """Return a model with its latest versions, newest first.

        Raises
        ------
        ModelNotFound, NameInvalid
            There is none of that name; ``nearest`` has similar ones.
        """
        return await self._run(self._core.model(name))

    async def version(self, reference: str) -> VersionDetail:
        """Return a version with its signature, origin and files, in whatever state it is.

        Raises
        ------
        ModelNotFound, VersionNotFound, NotReady, NameInvalid
            The reference leads to none (NotReady: the model has no active version).
        """
        return await self._run(self._core.version(reference))

    async def logs(self, reference: str, *, after: int | None = None) -> LogText:
        """Return the end of what a version's worker wrote to its output, the model's prints too.

        Parameters
        ----------
        after
            The ``end`` of an answer before: only what was written since, in whole lines.

        Raises
        ------
        ModelNotFound, VersionNotFound, NotReady, NameInvalid
            The reference leads to none.
        """
        return await self._run(self._core.logs(reference, after))

    async def status(self) -> ServerStatus:
        """Return how the server, its executor and its deployments are."""
        return await self._run(self._core.status())

    async def invocations(
        self,
        *,
        model: str | None = None,
        state: InvocationState | None = None,
        limit: int = 50,
        cursor: str | None = None,
        since: datetime | None = None,
    ) -> InvocationPage:
        """List recorded invocations, newest first.

        Parameters
        ----------
        model
            Only those of this model.
        state
            Only those in this state, such as ``failed``.
        limit, cursor
            At most so many; ``next_cursor`` of one page gives the next one.
        since
            Only those accepted from this time on; a naive time is local.
        """
        return await self._run(self._core.invocations(model, state, limit, cursor, since))

    async def invocation(self, id: str) -> InvocationDetail:  # noqa: A002 - the field's own name
        """Return one recorded invocation, with inputs and outputs where they were captured.

        Raises
        ------
        InvocationNotFound
            There is none of that id.
        """
        return await self._run(self._core.invocation(id))

    async def submit(
        self,
        reference: str,
        /,
        inputs: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
        idempotency_key: str | None = None,
        **named: Any,
    ) -> Submission:
        """Hand a call to the server and come back for its answer, from here or elsewhere.

        The call is kept before this returns: it goes on when this process, or the server, ends,
        and its outputs are kept with it. It goes over REST.

        Parameters
        ----------
        reference, inputs, timeout_s, named
            As for `invoke`.
        idempotency_key
            Of at most 200 printable characters. A call with a key that was used before is the call
            that was made then. Default: a new one.

        Returns
        -------
        Submission
            Has the invocation's ``id``; ``await`` it for the result.

        Raises
        ------
        IdempotencyConflict
            The key was used for another call.
        ModelNotFound, VersionNotFound, NotReady, InputInvalid
            It can't be called so; nothing was kept.
        PayloadTooLarge, QueueFull
            The inputs are too large to be kept, or too many calls are.
        """
        invocation_id = await self._run(
            self._core.submit(reference, inputs, timeout_s, idempotency_key, named)
        )
        return Submission(
            id=invocation_id,
            _fetch=lambda wait_s: self._run(self._core.result(invocation_id, wait_s)),
        )

    async def cancel(self, id: str) -> InvocationDetail:  # noqa: A002 - the field's own name
        """End a call, whoever made it, and return what is recorded of it.

        Raises
        ------
        InvocationNotFound
            There is none of that id.
        Conflict
            It ended before.
        """
        return await self._run(self._core.cancel(id))

    async def replay(
        self,
        id: str,  # noqa: A002 - the field's own name
        reference: str | None = None,
        *,
        timeout_s: float | None = None,
    ) -> InvokeResult:
        """Run the recorded inputs of a call again, as a new invocation that names the old one.

        Parameters
        ----------
        reference
            Run them with this version; default: the one that was called.

        Raises
        ------
        InvocationNotFound
            There is none of that id.
        Conflict
            Its inputs were not kept.
        """
        return await self._run(self._core.replay(id, reference, timeout_s))

    async def close(self) -> None:
        """Close the connections of the running loop. Harmless when repeated."""
        await self._driver.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _run(self, steps: Steps[T]) -> T:
        return await self._driver.run(steps)
