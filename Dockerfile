# Convlens as a service of a plan file: docker build -t convlens . && docker run -p 8000:8000 -v "$PWD/net.plan:/network.plan:ro" convlens
ARG DEBIAN=12
FROM debian:${DEBIAN}-slim AS build

RUN apt-get update && apt-get install -y --no-install-recommends g++ python3-dev python3-venv \
    && python3 -m venv /pip && /pip/bin/pip install --quiet --upgrade pip
ENV PATH=/pip/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY native native
RUN pip install --no-compile --target /opt/convlens --constraint constraints.txt --group plan \
    && pip install --no-compile --target /opt/convlens --no-deps ./native \
    && find /opt/convlens -name tests -type d -prune -exec rm -r {} + \
    && find /opt/convlens -name '*.so' -not -path '*.libs/*' -exec strip --strip-unneeded {} +
COPY src src
# What serves something else than a plan: --build-arg MORE="onnx onnxruntime" for ONNX, "torch safetensors" for a run. The index of
# PyTorch's processor builds makes that image several times smaller: --build-arg TORCH_INDEX=...
ARG MORE
ARG TORCH_INDEX
RUN pip install --no-compile --target /opt/convlens --no-deps . \
    && if [ -n "$MORE" ]; then pip install --target /opt/convlens ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} $MORE; fi
# The bytecode of what a server imports, of the standard library too, which the image below has as text only
ENV PYTHONPATH=/opt/convlens PYTHONPYCACHEPREFIX=/opt/convlens/.bytecode
RUN /usr/bin/python3 -c "import convlens.artifacts.format_plan, convlens.cli.serve, convlens.serving.worker_processes, convlens_kernels"


# Python, the C++ library and nothing else: no shell, no package manager
FROM gcr.io/distroless/python3-debian${DEBIAN}

COPY --from=build /opt/convlens /opt/convlens
ENV PYTHONPATH=/opt/convlens \
    PYTHONPYCACHEPREFIX=/opt/convlens/.bytecode \
    PYTHONDONTWRITEBYTECODE=1 \
    CONVLENS_CACHE=/tmp/convlens

USER 10001
WORKDIR /tmp
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["/usr/bin/python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/ready', timeout=2)"]
ENTRYPOINT ["/usr/bin/python3", "-m", "convlens", "serve", "--host", "0.0.0.0", "--port", "8000"]
CMD ["/network.plan"]
