"""From a run to its artifacts to the server: what computes does not change the answers."""

import pytest

import convlens
from convlens import shipping

from .conftest import field, png, running

pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")


@pytest.mark.slow
def test_run_and_artifacts_answer_alike_on_every_runtime(run, tmp_path):
    artifacts = [(run, "torch")]
    for format_, suffix, runtime in (("onnx", ".onnx", "onnxruntime"), ("openvino", ".xml", "openvino")):
        path = tmp_path / f"shipped{suffix}"
        shipping.export(run, format_, out=path)
        artifacts.append((path, runtime))
    files = field(*(png(seed) for seed in range(8)))
    answers = {}
    for path, runtime in artifacts:
        with running(convlens.load(path, threads=1), batch=4) as client:
            reply = client.post("/predict?top=10", files=files)
            assert reply.status_code == 200
            heat = client.post("/explain?method=occlusion&target=three", files=files[:1])
            assert heat.headers["content-type"] == "image/png"
        answers[runtime] = [
            {guess["label"]: guess["probability"] for guess in prediction["classes"]}
            for prediction in reply.json()["predictions"]
        ]
    for runtime in ("onnxruntime", "openvino"):
        for ours, theirs in zip(answers["torch"], answers[runtime], strict=True):
            assert theirs == pytest.approx(ours, abs=2e-4)
