"""`python -m penstock`: the command line, where no `penstock` is on the path."""

from penstock.cli.start import main

main()
