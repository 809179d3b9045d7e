"""What a team writes first: FastAPI around a pickled scikit-learn pipeline. It checks nothing and
answers in the event loop, without a thread per request; here both are to its advantage."""

from __future__ import annotations

import os
from typing import Any

import joblib
import pandas as pd
from fastapi import FastAPI, Request

app = FastAPI()
model = joblib.load(os.environ["BENCH_PIPELINE"])


@app.post("/predict")
async def predict(request: Request) -> dict[str, Any]:
    frame = pd.DataFrame((await request.json())["instances"])
    return {
        "predictions": [{"score": score} for score in model.predict_proba(frame)[:, 1].tolist()]
    }
