from __future__ import annotations

import onnxruntime

from benchmarks.tiny_model import INPUT, SAMPLE, write_tiny_model


def test_the_model_is_the_same_bytes_each_time_and_runs(tmp_path):
    first = write_tiny_model(tmp_path / "first.onnx")
    second = write_tiny_model(tmp_path / "second.onnx")

    assert first.read_bytes() == second.read_bytes()
    session = onnxruntime.InferenceSession(str(first), providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {INPUT: SAMPLE})
    assert scores.shape == (1, 3)
