"""Write the golden bytes, by hand, when the format grows: ``python tests/protocol/make_golden.py``.

A golden file that changes means that old peers, and journals on disk, are no longer understood:
then the protocol's version changes with it. New files are welcome at any time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from norman_protocol.arrays import array_to_value
from norman_protocol.declaration import Declaration, DeclaredParameter
from norman_protocol.media import Layout, MediaLimits
from norman_protocol.messages import (
    Accepted,
    Caller,
    Cancel,
    CancelInvocation,
    Configure,
    Configured,
    Copying,
    Decode,
    Decoded,
    Deploy,
    DeploymentStatus,
    DeviceStatus,
    Done,
    Encode,
    Encoded,
    Ended,
    ExecutorLimits,
    Failure,
    Forget,
    GetRunning,
    GetStatus,
    Hello,
    Invoke,
    Kept,
    Load,
    Loaded,
    Message,
    Offer,
    Predict,
    Prediction,
    ReplicaChanged,
    Result,
    Route,
    RouteTarget,
    Running,
    Start,
    Started,
    Status,
    Stop,
    Timings,
    Welcome,
    encode_message,
)
from norman_protocol.signature import Modality, Parameter, Signature
from norman_protocol.tensors import DTYPES
from norman_protocol.values import Value

FOLDER = Path(__file__).with_name("golden")

SIGNATURE = Signature(
    inputs=(
        Parameter(
            name="image",
            modality=Modality.TENSOR,
            dtype="float32",
            shape=("batch", 1, None),
            description="Pixels from 0 to 16.",
        ),
        Parameter(name="top", modality=Modality.INTEGER, required=False, default=3, nullable=True),
    ),
    outputs=(
        Parameter(name="label", modality=Modality.TENSOR, dtype="int64", shape=None),
        Parameter(name="note", modality=Modality.TEXT),
    ),
)
TIMINGS = Timings(queue_s=0.25, model_s=0.5, total_s=0.875)
VALUES = {
    "image": Value(kind="tensor", dtype="float32", shape=(1, 2), buffer=bytes(range(8))),
    "question": Value(kind="text", buffer="Wie spät? ☕".encode()),
    "options": Value(kind="json", buffer=b'{"seed":7,"names":["a",null]}'),
    "file": Value(kind="bytes", file_name="seven.png", buffer=b"\x89PNG\0" * 20),
    "empty": Value(kind="bytes"),
}
PHOTO = Parameter(
    name="Photo",
    modality=Modality.IMAGE,
    encoding="png",
    layout=Layout(height=8, width=8, resize="fit", mean=(0.5,)),
    parameter="image",
)
FILE = Value(kind="bytes", encoding="png", file_name="seven.png", buffer=b"\x89PNG")
DECLARATION = Declaration(
    inputs=(
        DeclaredParameter(
            title="Photo",
            parameter="image",
            encoding="png",
            layout={"height": 8, "mean": [0.5]},
            labels=("cat", "dog"),
        ),
    )
)

MESSAGES: tuple[Message, ...] = (
    Hello(
        oldest_protocol=1,
        newest_protocol=1,
        token="secret",
        role="relay",
        kernel_id="k",
        client="norman-jupyter 0.1.0",
    ),
    Welcome(protocol=1, server_id="s", executor_id="e"),
    Invoke(
        id="1",
        reference="digits@2",
        timeout_s=2.5,
        caller=Caller(user="ada", kernel_id="k"),
        values=VALUES,
    ),
    Cancel(id="1"),
    Result(
        id="1", invocation_id="i", reference="digits@2", timings=TIMINGS, logs="hi\n", values=VALUES
    ),
    Failure(
        id="1",
        code="model_not_found",
        message="There is no model 'digit'.",
        details={"name": "digit", "nearest": ["digits"]},
    ),
    Offer(id="8", size_bytes=1 << 31, digest="0" * 64),
    Copying(id="8", done_bytes=1 << 24),
    Kept(id="8", digest="0" * 64, size_bytes=1 << 31, copied_bytes=1 << 31),
    Load(
        id="2",
        reference="digits@2",
        runtime="onnx",
        files="/models/v",
        entry="model.onnx",
        device="cuda:0",
        threads=2,
        log_limit_bytes=1024,
    ),
    Loaded(id="2", signature=SIGNATURE, load_s=0.5, memory_bytes=1 << 30),
    Predict(id="3", values=VALUES),
    Decode(id="9", parameters=(PHOTO,), values={"Photo": FILE}),
    Decoded(id="9", values=VALUES),
    Encode(id="10", parameters=(PHOTO,), limits=MediaLimits(pixels=1_000_000), values=VALUES),
    Encoded(id="10", values={"Photo": FILE}),
    Prediction(id="3", model_s=0.125, logs="hi\n", values=VALUES),
    Configure(
        id="4",
        server_id="s",
        token="secret",
        relay_token="other",
        socket_path="/run/data.sock",
        journal_folder="/journal",
        run_folder="/run",
        limits=ExecutorLimits(queue_limit=8, default_timeout_s=1.5),
    ),
    Configured(id="4", executor_id="e"),
    Deploy(
        id="5",
        version_id="v",
        reference="digits@2",
        runtime="python",
        interpreter="/usr/bin/python3",
        files="/models/v",
        entry="model.py",
        log_path="/logs/v.log",
        signature=SIGNATURE,
        device="cuda:0",
        threads=2,
    ),
    Start(id="6", version_id="v"),
    Started(id="6", signature=SIGNATURE, load_s=0.5),
    Stop(id="7", version_id="v"),
    Route(
        id="8",
        name="ziffern-β",
        versions={"1": RouteTarget(version_id="u", state="failed")},
        aliases={"active": 1},
    ),
    Forget(id="9", name="digits"),
    Done(id="9"),
    GetStatus(id="10"),
    Status(
        id="10",
        executor_id="e",
        uptime_s=1.5,
        connections=2,
        deployments=(
            DeploymentStatus(reference="digits@2", version_id="v", state="ready", pid=7, calls=3),
        ),
        devices=(DeviceStatus(name="cpu", kind="cpu", cores=2, memory_total_bytes=1 << 33),),
    ),
    GetRunning(id="11"),
    Running(id="11", invocation_ids=("i", "j")),
    CancelInvocation(id="12", invocation_id="i"),
    ReplicaChanged(version_id="v", pid=7, started_at=1234.5, alive=True),
    Accepted(
        invocation_id="i",
        version_id="v",
        reference="digits@2",
        caller=Caller(user="ada"),
        accepted_at=1234.5,
        input_bytes=8,
        captured=True,
        values=VALUES,
    ),
    Ended(
        invocation_id="i",
        state="failed",
        ended_at=1235.5,
        timings=TIMINGS,
        output_bytes=8,
        captured=True,
        error_code="model_failed",
        error_message="ValueError: no",
        error_details={"exception": "ValueError"},
        logs="hi\n",
        values=VALUES,
    ),
)


def example_array(dtype: str) -> np.ndarray[Any, Any]:
    """Return a 3 by 3 array with the extremes of a dtype of `DTYPES`: an odd number of elements."""
    if dtype == "string":
        return np.array(
            ["", "a", "ü☕", "nul\0", "👩‍🔬", "line\n", " ", "x" * 70, "\ufeff"], object
        ).reshape(3, 3)
    kind = np.dtype(dtype) if hasattr(np, dtype) else np.dtype(getattr(ml_dtypes, dtype))
    if dtype == "bool":
        return (np.arange(9) % 2 == 1).reshape(3, 3)
    if dtype.startswith(("int", "uint")):
        limits = ml_dtypes.iinfo(kind)
        wide = np.resize(np.array([int(limits.min), 0, 1, int(limits.max)], object), 9)
        wide[4] = wide[0] + 1
        return wide.astype(np.int64 if dtype != "uint64" else np.uint64).astype(kind).reshape(3, 3)
    if dtype.startswith("complex"):
        return (np.arange(9) - 4.5j).astype(kind).reshape(3, 3)
    return np.array([0.5, 1, 2, 4, 1, 0.5, 2, 4, 1], np.float32).astype(kind).reshape(3, 3)


def golden_messages() -> dict[str, Message]:
    """Return every message by the name of its golden file."""
    found: dict[str, Message] = {f"message_{message.TYPE}": message for message in MESSAGES}
    found["message_hello_minimal"] = Hello(oldest_protocol=1, newest_protocol=1, token="t")
    found["message_invoke_relayed"] = Invoke(
        id="1", reference="digits", invocation_id="i", capture_limit_bytes=1 << 26
    )
    found["message_result_labels"] = Result(
        id="1",
        invocation_id="i",
        reference="digits@2",
        timings=TIMINGS,
        labels={"scores": ("zero", "one é")},
        kept=False,
    )
    found["message_load_declared"] = Load(
        id="2",
        reference="mirror@1",
        runtime="torchscript",
        files="/models/v",
        entry="weights.pt",
        declaration=DECLARATION,
    )
    found["message_invoke_minimal"] = Invoke(id="1", reference="digits")
    for dtype in DTYPES:
        found[f"tensor_{dtype}"] = Predict(
            id="", values={"x": array_to_value(example_array(dtype))}
        )
    for name, array in (
        ("scalar", np.float32(1.5)),
        ("zero_size", np.empty((0, 3), np.float32)),
        ("scalar_string", np.array("ü", object)),
        ("zero_size_string", np.empty((2, 0), object)),
        ("zero_size_int4", np.empty(0, ml_dtypes.int4)),
    ):
        found[f"tensor_{name}"] = Predict(id="", values={"x": array_to_value(array)})
    return found


def main() -> None:
    """Write every file."""
    FOLDER.mkdir(exist_ok=True)
    for name, message in golden_messages().items():
        (FOLDER / f"{name}.bin").write_bytes(b"".join(encode_message(message)))


if __name__ == "__main__":
    main()
