# Everything that computes: a node of a Ray cluster, or sweeps in one container. Build from the repository's root:
#
#   docker build -f docker/train.Dockerfile -t loretta-train:0.1.0 .
#   docker run --rm --gpus all --shm-size=4g -v "$PWD/outputs:/data/outputs" loretta-train:0.1.0                      the quickstart
#   docker run --rm --gpus all --shm-size=4g -v "$PWD:/data" loretta-train:0.1.0 sweep my-sweep.toml                  your sweep
#   docker run --rm --gpus all --shm-size=4g --network host --entrypoint ray loretta-train:0.1.0 start --block --address=HEAD:6379   a Ray node
#
# It runs as user 10001: a mounted directory must let that user write (or give --user). Ray needs the shared memory; the token of a Ray
# cluster comes from outside (-v …:/run/token:ro -e RAY_AUTH_TOKEN_PATH=/run/token) and is never part of the image.

# CUDA's smallest flavour: torch brings cuBLAS, cuDNN and NCCL as wheels, and the "runtime" flavour would carry them a second time. DeepSpeed's ZeRO 1 to 3 need
# no compiler; its offload compiles an extension at first use, for which take the "devel" flavour and add g++ and python3-dev below.
FROM nvidia/cuda:13.0.1-base-ubuntu24.04

RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --uid 10001 --create-home --shell /bin/bash loretta \
    && install --directory --owner=loretta /data \
    && python3 -m venv /opt/venv

ENV PATH=/opt/venv/bin:$PATH \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1 \
    RAY_AUTH_MODE=token \
    RAY_USAGE_STATS_ENABLED=0 \
    MLFLOW_DISABLE_TELEMETRY=true

# Dependencies before source: these layers, nearly all of the image, change only with the two files.
WORKDIR /opt/loretta
COPY constraints.txt ./
RUN pip install --constraint constraints.txt torch
COPY pyproject.toml ./
RUN python -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
print(*p["dependencies"], *p["optional-dependencies"]["train"], *p["optional-dependencies"]["services"], *p["optional-dependencies"]["deepspeed"], *p["optional-dependencies"]["search"], sep="\n")' > /tmp/requirements.txt \
    && pip install --constraint constraints.txt --requirement /tmp/requirements.txt \
    && rm /tmp/requirements.txt

COPY README.md LICENSE ./
COPY loretta_core loretta_core
COPY jobs jobs
COPY services services
COPY docker/with-secrets.sh /usr/local/bin/with-secrets.sh
COPY cluster/scale.py cluster/scale.py
RUN pip install --constraint constraints.txt --editable '.[train,services,deepspeed,search]' \
    && pip check \
    && python -m compileall -q loretta_core jobs services

USER 10001
WORKDIR /data

# No HEALTHCHECK: a sweep ends with an exit code, and a Ray node reports its health to the head.
ENTRYPOINT ["loretta"]
CMD ["sweep", "/opt/loretta/jobs/sweeps/quickstart.toml", "--out", "/data/outputs"]
