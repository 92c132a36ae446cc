# The servers: API and pages, and MLflow beside them. No torch, no CUDA: they plan, submit and read. Build from the repository's root:
#
#   docker build -f docker/services.Dockerfile -t loretta-services:0.1.0 .
#   docker run --rm -v "$PWD/outputs:/data/outputs" loretta-services:0.1.0 loretta compare --out /data/outputs
#
# It runs as user 10001. Listening where other machines are, `loretta serve` demands tokens and MLflow's login: see docker/compose.yaml, which brings both.
FROM python:3.12.12-slim-bookworm

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

# Dependencies before source. Of the library's own dependencies the rooms that the servers use need all but these three, which bring or want torch; of what
# sweeps need, the client of Ray's job API and what `loretta doctor` looks at processes with.
WORKDIR /opt/loretta
COPY constraints.txt pyproject.toml ./
RUN python -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; extras = p["optional-dependencies"]; \
heavy = ("torch", "peft", "transformers"); watching = [each for each in extras["train"] if each.startswith(("psutil", "ray["))]; \
print(*(each for each in p["dependencies"] if not each.startswith(heavy)), *watching, *extras["services"], *extras["s3"], sep="\n")' > /tmp/requirements.txt \
    && pip install --constraint constraints.txt --requirement /tmp/requirements.txt \
    && rm /tmp/requirements.txt

COPY README.md LICENSE ./
COPY loretta_core loretta_core
COPY jobs jobs
COPY services services
COPY docker/with-secrets.sh /usr/local/bin/with-secrets.sh
# --no-deps: the three that were left out are left out on purpose.
RUN pip install --no-deps --editable . \
    && python -m compileall -q loretta_core jobs services

USER 10001
WORKDIR /data
EXPOSE 8000 5000

HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/api/v1/health', timeout=4)"]
ENTRYPOINT ["with-secrets.sh"]
CMD ["loretta", "serve", "--host", "0.0.0.0", "--out", "/data/outputs"]
