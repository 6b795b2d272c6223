"""Which version of PyFlink's API this is, and of Flink's REST: programs and clients ask it what they may call.

Penstock's own version is that of its distribution.
"""

__version__ = "2.3.0"
