# One image, three entry points: `jobmanager`, `taskmanager`, `operator`.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE}
WORKDIR /opt/penstock
COPY constraints.txt pyproject.toml README.md ./
COPY engine engine
COPY operator operator
# Constraints carry hashes, which pip would then ask of the project itself as well: only the versions are kept.
RUN sed -n 's/^\([A-Za-z0-9._-]*==[^ ]*\).*/\1/p' constraints.txt > versions.txt \
    && python3 -m pip install --no-cache-dir --only-binary :all: --no-binary penstock -c versions.txt '.[operator,kafka]' \
    && rm -rf /opt/penstock \
    && printf '#!/bin/sh\nexec penstock jobmanager "$@"\n' > /usr/local/bin/jobmanager \
    && printf '#!/bin/sh\nexec penstock taskmanager "$@"\n' > /usr/local/bin/taskmanager \
    && printf '#!/bin/sh\nexec penstock-operator "$@"\n' > /usr/local/bin/operator \
    && chmod 755 /usr/local/bin/jobmanager /usr/local/bin/taskmanager /usr/local/bin/operator \
    && useradd --uid 9999 --create-home --home-dir /home/penstock penstock
USER 9999:9999
WORKDIR /home/penstock
ENV PYTHONUNBUFFERED=1
# REST, RPC, metrics.
EXPOSE 8081 6123 9249
CMD ["jobmanager", "--help"]
