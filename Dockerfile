# syntax=docker/dockerfile:1
# The app as on a Space, elsewhere: docs/operating.md says how to run it and what was seen to work.
#
#   docker build -t proving-ground .                                        for the processor
#   docker build -t proving-ground:cuda --build-arg VARIANT=cuda .          for an NVIDIA GPU
#   docker build --build-arg MODELS="org/model@<commit> org/other@<commit>" .   with models inside
ARG PYTHON=3.12
FROM python:${PYTHON}-slim-bookworm AS base
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /app

# Packages alone, so that a change of the app's code builds none of them again.
FROM base AS packages
# cpu: torch without CUDA. cuda: as the package registry has it, with CUDA's own libraries.
ARG VARIANT=cpu
RUN pip install --no-cache-dir uv==0.13.9 && uv venv /opt/venv
COPY requirements.txt requirements-bundled.txt ./
RUN --mount=type=cache,target=/root/.cache/uv \
    export UV_LINK_MODE=copy VIRTUAL_ENV=/opt/venv; \
    case "$VARIANT" in cpu) torch=--torch-backend=cpu ;; cuda) torch= ;; *) echo "VARIANT is cpu or cuda" >&2; exit 1 ;; esac; \
    uv pip install --compile-bytecode ${torch} -r requirements.txt && \
    uv pip install --compile-bytecode --no-deps -r requirements-bundled.txt

# Models alone: none unless asked for.
FROM packages AS models
ARG MODELS=""
COPY core core
COPY backends backends
RUN --mount=type=secret,id=HF_TOKEN,env=HF_TOKEN --mount=type=cache,target=/root/.cache/hf \
    mkdir -p /opt/models/hub && HF_HOME=/root/.cache/hf python -m backends.deploy.bake /opt/models/hub ${MODELS}

FROM base AS app
RUN useradd --uid 1000 --user-group --no-create-home --home-dir /data/home app && install -d -o app -g app /data
COPY --from=packages /opt/venv /opt/venv
COPY --from=models /opt/models/hub /opt/models/hub
COPY . .
RUN python -m compileall -q .
# One volume for everything that is written; the root file system may be read-only.
ENV PROVING_DATA_DIR=/data/proving \
    HF_HOME=/data/hf \
    HOME=/data/home \
    XDG_CACHE_HOME=/data/cache \
    TMPDIR=/data/tmp \
    GRADIO_SERVER_NAME=0.0.0.0 \
    PORT=7860 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 1000
VOLUME /data
EXPOSE 7860
# What waits is sent before the end, within 15 s: give it 30 (docker run --stop-timeout 30).
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f\"http://127.0.0.1:{os.environ['PORT']}/robots.txt\", timeout=4)"]
CMD ["python", "-m", "backends.deploy.container"]
