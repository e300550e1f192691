"""The report of a checkpoint: data card and model card as one HTML file that needs nothing else.

``counts`` asks the tables, ``facts`` puts together what the records say, ``drawing`` makes the pictures, ``page`` fills
the template. A report holds names, counts and addresses of documents, never their text: it can be passed on, and what
is withdrawn does not live on in it. It is made from what is stored and belongs to no content version.
"""

from headwater.assets.lineage.report.page import (
    REPORT,
    keep_reports_current,
    render_report,
    report_path,
    write_report,
)

__all__ = ["REPORT", "keep_reports_current", "render_report", "report_path", "write_report"]
