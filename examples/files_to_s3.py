"""Copies lines that contain a word from files to S3, exactly once: what a reader of the bucket sees, stays.

Each checkpoint publishes the files that were finished before it. Whatever dies in between, no line is lost or doubled.

    AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=... python examples/files_to_s3.py \\
        --input /var/log/app --word ERROR --bucket s3://my-bucket/errors --endpoint http://localhost:9000
"""

import argparse

from penstock.common import Configuration, Encoder, Types, WatermarkStrategy
from penstock.datastream import StreamExecutionEnvironment
from penstock.datastream.connectors.file_system import (
    BucketAssigner,
    FileSink,
    FileSource,
    OutputFileConfig,
    RollingPolicy,
    StreamFormat,
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Copy matching lines from files to S3, exactly once.")
    parser.add_argument("--input", required=True, help="a text file, or a folder of them")
    parser.add_argument("--word", default="", help="only lines that contain it")
    parser.add_argument("--bucket", required=True, help="s3://bucket/prefix (or a folder)")
    parser.add_argument("--endpoint", help="of the S3 server, where it is not Amazon's")
    parser.add_argument("--parallelism", type=int, default=2)
    arguments = parser.parse_args()

    configuration = Configuration()
    configuration.set_string("execution.checkpointing.dir", f"{arguments.bucket}/_checkpoints")
    if arguments.endpoint:
        configuration.set_string("s3.endpoint", arguments.endpoint)
        configuration.set_string("s3.path.style.access", "true")
    env = StreamExecutionEnvironment.get_execution_environment(configuration)
    env.set_parallelism(arguments.parallelism)
    env.enable_checkpointing(1_000)

    source = FileSource.for_record_stream_format(StreamFormat.text_line_format(), arguments.input).build()
    sink = (
        FileSink.for_row_format(f"{arguments.bucket}/lines", Encoder.simple_string_encoder())
        .with_bucket_assigner(BucketAssigner.base_path_bucket_assigner())
        .with_rolling_policy(RollingPolicy.on_checkpoint_rolling_policy())
        .with_output_file_config(OutputFileConfig.builder().with_part_prefix("lines").with_part_suffix(".txt").build())
        .build()
    )
    word = arguments.word
    lines = env.from_source(source, WatermarkStrategy.no_watermarks(), "lines", Types.STRING())
    lines.filter(lambda line: word in line).name(f"containing '{word}'").sink_to(sink).name("files").uid("files")
    env.execute("files to S3")


if __name__ == "__main__":
    main()
