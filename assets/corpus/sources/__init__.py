"""Readers: one module per kind of source, each turning a file into a stream of records that all look alike.

A reader changes nothing about a text but its encoding. What it cannot read becomes a record without text that says
which rule it broke and where, so that every record met is accounted for; what stops it altogether (a missing file, a
column that does not exist) is a `SourceError` naming the file and the mend.
"""
