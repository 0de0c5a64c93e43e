# Convlens as a service, for processors: docker build -t convlens . && docker run -p 8000:8000 -v RUN:/run/network:ro convlens
FROM python:3.12-slim AS build

# The index of PyTorch's processor builds makes the image several times smaller: --build-arg TORCH_INDEX=...
ARG TORCH_INDEX
RUN python -m venv /opt/convlens
ENV PATH=/opt/convlens/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
RUN pip install --constraint constraints.txt ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch \
    && pip install --constraint constraints.txt '.[serve]' onnxruntime


FROM python:3.12-slim

RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin convlens
COPY --from=build /opt/convlens /opt/convlens
ENV PATH=/opt/convlens/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    CONVLENS_CACHE=/tmp/convlens \
    MPLCONFIGDIR=/tmp/matplotlib

USER 10001
WORKDIR /tmp
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/ready', timeout=2)"]
ENTRYPOINT ["convlens", "serve", "/run/network", "--host", "0.0.0.0", "--port", "8000"]
