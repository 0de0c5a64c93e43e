"""The handler that one writes first: FastAPI, the image decoded and the network run in the handler's thread."""

import base64
import sys

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

import convlens
from convlens.predicting import rank


class File(BaseModel):
    file: str
    content: str


class Files(BaseModel):
    files: list[File]


def make() -> FastAPI:
    torch.set_num_threads(int(sys.argv[4]))
    predictor = convlens.open_run(sys.argv[1]).predictor()
    app = FastAPI()

    @app.post("/predict")
    def predict(body: Files) -> dict[str, object]:
        answers = []
        for file in body.files:
            x_CHW = predictor.preprocessing.open(base64.b64decode(file.content))
            (row,) = predictor.probabilities(x_CHW[None])
            answers.append({"file": file.file, "classes": [vars(guess) for guess in rank(row, predictor.classes, 5)]})
        return {"predictions": answers}

    return app


if __name__ == "__main__":
    workers = int(sys.argv[3])
    uvicorn.run(
        "plain:make", factory=True, host="127.0.0.1", port=int(sys.argv[2]), workers=workers, log_level="error",
        app_dir=__file__.rpartition("/")[0],
    )  # fmt: skip
