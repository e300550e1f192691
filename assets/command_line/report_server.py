"""Checkpoint reports in the browser, beside the Dagster UI: made when they are asked for, so never out of date.

Listens on this machine only, answers nothing but reports, and ends with the process that started it.
"""

import html
import os
import sys
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from headwater.assets.lineage.history import LineageError, select
from headwater.assets.lineage.report import render_report
from headwater.assets.lineage.report.facts import gather
from headwater.assets.storage.places import Store
from headwater.assets.workspace import find_workspace


class ReportHandler(BaseHTTPRequestHandler):
    """Answers ``/small_decoder`` and ``/small_decoder/checkpoint@3f2a`` with that checkpoint's report."""

    store: Store

    def do_GET(self) -> None:
        """Renders the report of the checkpoint that the path names."""
        selector = unquote(urlsplit(self.path).path).strip("/")
        try:
            status, page = HTTPStatus.OK, render_report(gather(self.store, select(self.store, selector)))
        except LineageError as error:
            status, page = HTTPStatus.NOT_FOUND, f"<!doctype html><title>No report</title><p>{html.escape(str(error))}"
        body = page.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: the terminal belongs to the UI."""


def report_server(store: Store, port: int) -> ThreadingHTTPServer:
    """A server of the store's reports on this machine; port 0 takes a free one."""
    handler = type("Handler", (ReportHandler,), {"store": store})
    return ThreadingHTTPServer(("127.0.0.1", port), handler)


def main(port: int) -> None:
    """Serves until the process that started this one ends."""
    parent = os.getppid()
    server = report_server(Store(find_workspace().store_url), port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while os.getppid() == parent:
        time.sleep(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
