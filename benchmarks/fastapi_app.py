"""The reference service: one file of FastAPI that calls onnxruntime inline. uvicorn runs it."""

from __future__ import annotations

import os

import numpy as np
import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.tiny_model import MODEL_VARIABLE


class Features(BaseModel):
    features: list[list[float]]


class Scores(BaseModel):
    scores: list[list[float]]


app = FastAPI()
session = onnxruntime.InferenceSession(
    os.environ[MODEL_VARIABLE], providers=["CPUExecutionProvider"]
)


@app.post("/predict")
async def predict(request: Features) -> Scores:
    array = np.asarray(request.features, np.float32)
    (scores,) = session.run(None, {"features": array})
    return Scores(scores=scores.tolist())
