# One image, two entry points: `jobmanager` and `taskmanager`.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS installed
WORKDIR /build
# All that constraints.txt names, each file checked against its hashes: more than is needed, and nothing else can be had.
COPY constraints.txt ./
RUN python3 -m pip download --no-cache-dir --no-deps --require-hashes --only-binary :all: --dest wheels -r constraints.txt
COPY pyproject.toml README.md ./
COPY engine engine
COPY operator operator
RUN python3 -m venv /opt/penstock \
    && /opt/penstock/bin/pip install --no-cache-dir --no-index --find-links wheels '.[operator,kafka]' \
    && printf '#!/bin/sh\nexec penstock jobmanager "$@"\n' > /opt/penstock/bin/jobmanager \
    && printf '#!/bin/sh\nexec penstock taskmanager "$@"\n' > /opt/penstock/bin/taskmanager \
    && chmod 755 /opt/penstock/bin/jobmanager /opt/penstock/bin/taskmanager

FROM ${BASE}
COPY --from=installed /opt/penstock /opt/penstock
RUN useradd --uid 9999 --create-home --home-dir /home/penstock penstock
USER 9999:9999
WORKDIR /home/penstock
ENV PATH=/opt/penstock/bin:${PATH} PYTHONUNBUFFERED=1
# REST, RPC, metrics.
EXPOSE 8081 6123 9249
CMD ["jobmanager", "--help"]
