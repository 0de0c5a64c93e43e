"""The same network behind LitServe, as its documentation has it: decode, batch, predict, unbatch, encode."""

import base64
import sys

import litserve
import numpy as np
import torch

import convlens
from convlens.predicting import rank


class Images(litserve.LitAPI):
    def setup(self, device):  # noqa: ARG002
        torch.set_num_threads(int(sys.argv[4]))
        self.predictor = convlens.open_run(sys.argv[1]).predictor(device="cpu")

    def decode_request(self, request):
        file = request["files"][0]
        return self.predictor.preprocessing.open(base64.b64decode(file["content"]))

    def batch(self, inputs):
        return np.stack(inputs)

    def predict(self, x):
        return self.predictor.probabilities(x if x.ndim == 4 else x[np.newaxis])

    def unbatch(self, output):
        return list(output)

    def encode_response(self, output):
        row = output[0] if output.ndim == 2 else output
        classes = [vars(guess) for guess in rank(row, self.predictor.classes, 5)]
        return {"predictions": [{"file": "image", "classes": classes}]}


if __name__ == "__main__":
    workers, batch = int(sys.argv[3]), int(sys.argv[5])
    api = Images(max_batch_size=batch, batch_timeout=0.005 if batch > 1 else 0.0)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=workers, timeout=60)
    server.run(
        host="127.0.0.1", port=int(sys.argv[2]), num_api_servers=workers, log_level="error", generate_client_file=False
    )
