"""`python -m penstock.testing.kubernetes build | up`: see the package."""

import argparse
import contextlib
import signal

from penstock.testing.kubernetes.binaries import binaries, built, debian_packages
from penstock.testing.kubernetes.cluster import running_cluster
from penstock.testing.kubernetes.images import pause_image, penstock_image


def main() -> None:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m penstock.testing.kubernetes")
    parser.add_argument("what", choices=["build", "up"])
    if parser.parse_args().what == "up":
        up()
    else:
        build()


def build() -> None:
    """Have everything ready, so that no test waits for it."""
    debian_packages()
    print(f"Kubernetes: {binaries()}")
    print(f"Helm: {built('helm')}")
    pause_image()
    print(f"image: {penstock_image()}")


def up() -> None:
    """A cluster with the image, until a signal."""
    image = penstock_image()
    with running_cluster() as cluster:
        cluster.load_image(image)
        print(f"export KUBECONFIG={cluster.kubeconfig} PATH={binaries()}:$PATH   # has {image}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    main()
