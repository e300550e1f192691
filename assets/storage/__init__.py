"""Where everything is kept: the only place that knows Lance, fsspec paths and records.

A *store* is a folder (or an object store's prefix). Each asset has one *place* in it. A place holds Lance tables with
their versions, files in a folder named by the identity that produced them, and ``record.json``, whose replacement is
the commit that makes all of an attempt's output visible at once. Tables are imported from ``storage.tables``, not from
here: loading declarations needs records, not Lance.
"""

from headwater.assets.storage.places import Place, Store
from headwater.assets.storage.records import Record, TableRecord

__all__ = ["Place", "Record", "Store", "TableRecord"]
