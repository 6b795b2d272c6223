"""Where the process of a fault test begins, which is `penstock.testing.host`: as `penstock` does, signals apart."""

from penstock.base.garbage import spare_the_young


def main() -> None:
    """Hundreds of them are started, and loading is a third of what one costs."""
    spare_the_young()
    from penstock.testing.host import main as host

    host()


if __name__ == "__main__":
    main()
