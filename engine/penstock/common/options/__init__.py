"""Every configuration key that means something here, declared: type, default, aliases, legacy values, text.

One module per area. `penstock.common.configuration` looks keys up in `registry`; the settings dataclasses
(`penstock.common.settings`) are built from these options. A key of ours that is not declared here is an error.
"""

from penstock.common.options import checkpointing, cluster, jobs, penstock, state, storage
from penstock.common.options.registry import Option, find, is_flinks, nearest, options

__all__ = [
    "Option",
    "checkpointing",
    "cluster",
    "find",
    "is_flinks",
    "jobs",
    "nearest",
    "options",
    "penstock",
    "state",
    "storage",
]
