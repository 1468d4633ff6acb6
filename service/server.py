"""Runs the service: lake opened, uvicorn started, everything closed at the end."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import logging
import os
import resource
import signal
import socket
import sys
from functools import partial
from typing import Any, Literal

import uvicorn

from service.app import tokens_of
from service.datastores import PREFIX, each, open_datastores
from service.lake_access import master_key
from service.settings import Settings, check_exposure
from service.workers.part import Secrets
from service.workers.supervisor import Supervisor

# Of their own accord: each takes some 50 MB, and one process stores for all of them.
_MOST_FRONTS = 8


def serve(settings: Settings) -> None:
    """Serve until interrupted. Raises `SettingError` or `FhirError` before anything is served."""
    check_exposure(settings)
    # A core dump would put the memory, patient data and keys in it, on the disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # Request lines hold patient ids and search terms: they are not logged.
    logging.getLogger("uvicorn.access").disabled = True
    # uvicorn repeats the signal that ended it; as an exception it lets the lake be closed.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    fronts = workers_of(settings)
    config: dict[str, Any] = {
        "http": _protocol(),
        "ws": "none",
        "access_log": False,
        "log_config": None,
        "server_header": False,
        "timeout_graceful_shutdown": 10,
        "lifespan": "on",
    }
    if fronts > 1:
        secrets = each(settings, lambda own, _: Secrets(master_key(own), tokens_of(own)))
        listener = _listen(settings)
        _spare_the_collector()
        supervisor = Supervisor(settings, secrets, listener, config, fronts)
        supervisor.run(partial(_announce, settings, listener.getsockname()))
        return
    listener = _listen(settings)
    with open_datastores(settings) as (app, _):
        _announce(settings, listener.getsockname())
        _spare_the_collector()
        uvicorn.Server(uvicorn.Config(app, **config)).run(sockets=[listener])


def workers_of(settings: Settings) -> int:
    """How many processes answer: the setting `workers`; 0 stands for one a core, at most 8."""
    if not hasattr(os, "sched_getaffinity"):
        return settings.workers or 1  # Several are tried on Linux.
    return settings.workers or min(len(os.sched_getaffinity(0)), _MOST_FRONTS)


def _announce(settings: Settings, address: tuple[Any, ...]) -> None:
    host, port = address[:2]
    log = logging.getLogger("chartlake")
    log.info("FHIR base: http://%s:%s/fhir", host, port)
    for name in settings.datastores:
        log.info("datastore %s: http://%s:%s%s%s/fhir", name, host, port, PREFIX, name)


def _spare_the_collector() -> None:
    """Let Python look for cyclic garbage seldom, and never in what is loaded by now.

    A transaction makes and frees hundreds of thousands of objects, in no cycles: looking through
    them and the tables of the specification took a sixth of its time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


def _protocol() -> type[asyncio.Protocol] | Literal["h11"]:
    """Ours, over httptools; h11, which bounds heads by itself, where there is no httptools."""
    if importlib.util.find_spec("httptools") is None:
        return "h11"
    from service.http_protocol import BoundedHttp

    return BoundedHttp


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
    listener.listen(1024)
    return listener
