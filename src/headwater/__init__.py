"""Headwater: from raw files to an evaluated model as one declared, lineage-tracked graph.

Three rooms, imports go one way: ``headwater.pipelines`` (what exists) uses ``headwater.assets`` (how each thing comes
to be), which uses ``headwater.models`` (what learns).
"""

__version__ = "0.1.0"
