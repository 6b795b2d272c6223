# One image, three entry points: `jobmanager`, `taskmanager` and `operator`. Its root file system may be read-only; jobs
# want a writable /tmp then.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

# Apart from the code, for they change seldom. Each file is checked against its hashes. Half of what is installed is of no
# use here; whoever wants another part back installs the package anew, in an image made from this one.
FROM ${BASE} AS dependencies
COPY constraints-image.txt ./
RUN python3 -m venv --without-pip /opt/penstock \
    && python3 -m pip --python /opt/penstock/bin/python install --no-cache-dir --no-deps --require-hashes \
        --only-binary :all: --no-compile -r constraints-image.txt \
    && cd /opt/penstock/lib/python3*/site-packages \
    # What is for those who build on Arrow, its servers, its own way to S3, and second copies of one library.
    && rm -rf pyarrow/tests pyarrow/include pyarrow/src pyarrow/libarrow_flight.so* pyarrow/_flight.* \
        pyarrow/libarrow_python_flight.so* pyarrow/libarrow_s3.so* pyarrow/_s3fs.* \
        pyarrow/libarrow_python.so pyarrow/libarrow_python.so.*.*.* \
        pyarrow/libarrow_python_parquet_encryption.so pyarrow/libarrow_python_parquet_encryption.so.*.*.* \
        websocket/tests \
    && find . -type f -regex '.*\.\(c\|cpp\|h\|pyx\|pxd\|pxi\|pyi\)' -delete \
    # Of 400 services those that a job, or whoever runs it, may talk to.
    && mkdir kept && mv botocore/data/*.json kept && cd botocore/data \
    && mv s3 s3control sts sso sso-oidc signin dynamodb dynamodbstreams kinesis firehose sqs sns secretsmanager ssm kms \
        lambda events glue athena logs cloudwatch redshift-data timestream-write timestream-query rds-data ../../kept \
    && cd ../.. && rm -r botocore/data && mv kept botocore/data \
    # Four fifths of Kubernetes' client describe its models; of the colouring of programs hardly anything is ever loaded.
    && python3 -m compileall -q -j 0 -b -o 2 --invalidation-mode unchecked-hash kubernetes pygments \
    && find kubernetes pygments -name '*.py' -delete \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash . \
    # Found by every Python of the environment, like what pip installs.
    && echo /opt/penstock/code > penstock.pth

FROM ${BASE} AS code
COPY engine/penstock /opt/penstock/code/penstock
COPY operator/penstock_operator /opt/penstock/code/penstock_operator
RUN python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/penstock/code \
    && mkdir /opt/penstock/bin && cd /opt/penstock/bin \
    # The first process of a container ignores a signal that it has no handler for, and nobody sends it again: both wait,
    # blocked, until Python has started and takes them.
    && start='exec env --block-signal=INT,TERM /opt/penstock/bin/python -m' \
    && printf '#!/bin/sh\n%s penstock.cli.start "$@"\n' "$start" > penstock \
    && printf '#!/bin/sh\n%s penstock.cli.start jobmanager "$@"\n' "$start" > jobmanager \
    && printf '#!/bin/sh\n%s penstock.cli.start taskmanager "$@"\n' "$start" > taskmanager \
    && printf '#!/bin/sh\n%s penstock_operator "$@"\n' "$start" > operator \
    && ln -s operator penstock-operator \
    && chmod 755 *

FROM ${BASE}
RUN useradd --uid 9999 --create-home --home-dir /home/penstock penstock
COPY --from=dependencies /opt/penstock /opt/penstock
COPY --from=code /opt/penstock /opt/penstock
USER 9999:9999
WORKDIR /home/penstock
ENV PATH=/opt/penstock/bin:${PATH} PYTHONUNBUFFERED=1
# REST, RPC, metrics.
EXPOSE 8081 6123 9249
CMD ["jobmanager", "--help"]
