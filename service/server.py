"""Runs the service: lake opened, uvicorn started, everything closed at the end."""

from __future__ import annotations

import logging
import resource
import signal
import socket
import sys

import uvicorn

from service.app import create_app
from service.lake_access import open_lake
from service.settings import Settings, check_exposure, check_read_only
from storage.lake import Lake

FLUSH_AT_CLOSE_ROWS = 1_000


def serve(settings: Settings) -> None:
    """Serve until interrupted. Raises `SettingError` or `FhirError` before anything is served."""
    check_exposure(settings)
    check_read_only(settings)
    # A core dump would put the memory, patient data and keys in it, on the disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # Request lines hold patient ids and search terms: they are not logged.
    logging.getLogger("uvicorn.access").disabled = True
    # uvicorn repeats the signal that ended it; as an exception it lets the lake be closed.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    listener = _listen(settings)
    lake: Lake = open_lake(settings)
    try:
        app = create_app(lake, settings)
        config = uvicorn.Config(
            app, access_log=False, log_config=None, timeout_graceful_shutdown=10, lifespan="on"
        )
        host, port = listener.getsockname()[:2]
        logging.getLogger("chartlake").info("FHIR base: http://%s:%s/fhir", host, port)
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        # Few rows are left in the hot tier: a segment of a handful of rows is not worth a file.
        worth = not lake.read_only and lake.stats()["hot_rows"] >= FLUSH_AT_CLOSE_ROWS
        lake.close(flush=worth)


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # asyncio switches Nagle's delay off only for sockets that say that they are TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as failure:
        listener.close()
        raise SystemExit(
            f"cannot listen on {settings.host}:{settings.port}: {failure.strerror}; "
            "choose another with --port"
        ) from None
    listener.listen(128)
    return listener
