"""A process of the service: forked, told what to do over a socket, gone when its parent is.

Forked before any lake is opened, so that no thread, lock or connection is copied; what was read of
settings and secrets is inherited in memory.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import os
import resource
import signal
import socket
from collections.abc import Callable
from typing import Any, NoReturn

from schemas.outcomes import FhirError, Issue
from schemas.releases import ReleaseError
from service.errors import unexpected
from service.settings import SettingError

log = logging.getLogger("chartlake")

# Of messages between a process and its parent.
READY, CLOSED, FAILED, STOP, HURRY, CONNECTIONS, CHANNEL = b"R", b"-", b"E", b"S", b"H", b"C", b"L"
MOST_BYTES = 65_536

_PR_SET_PDEATHSIG = 1


class Child:
    """A process as its parent knows it; `control` is a socket of messages."""

    def __init__(self, name: str, run: Callable[[socket.socket], None], *others: Any) -> None:
        """Start it: `run(control)` is all it does. `others`: what it must not keep open."""
        self.name = name
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            _child(name, run, theirs, parent, (ours, *others))
        theirs.close()
        ours.setblocking(False)
        self.control = ours

    def tell(self, message: bytes, *descriptors: int) -> bool:
        """Send a message, with open files; False where it cannot take any now, or is gone."""
        try:
            socket.send_fds(self.control, [message], descriptors)
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            return False
        return True

    def heard(self) -> bytes | None:
        """A message, empty where it is gone, None where there is none now."""
        try:
            return self.control.recv(MOST_BYTES)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            return b""

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


def _child(
    name: str,
    run: Callable[[socket.socket], None],
    control: socket.socket,
    parent: int,
    others: Any,
) -> NoReturn:
    code = 1
    try:
        _begin(parent)
        for other in others:
            other.close()
        run(control)
        code = 0
    except BaseException as failure:
        with contextlib.suppress(OSError):
            control.send(FAILED + _told(name, failure))
    finally:
        logging.shutdown()
        os._exit(code)


def _begin(parent: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # Who stops the service may tell all of its processes: the parent alone decides in what order
    # they end. Handlers, since what is ignored would be so in processes that these start, too.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: None)
    with contextlib.suppress(OSError, AttributeError):
        # Killed with the parent, whatever that dies of; elsewhere than on Linux, its socket tells.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _told(name: str, failure: BaseException) -> bytes:
    """Why a process cannot go on, for its parent to say; never a stack trace."""
    if isinstance(failure, FhirError):
        told = failure
    elif isinstance(failure, (SettingError, ReleaseError, OSError)):
        return json.dumps(["", str(failure)]).encode()
    elif isinstance(failure, SystemExit):
        return json.dumps(["", f"{name} could not start"]).encode()
    else:
        told = unexpected(failure if isinstance(failure, Exception) else RuntimeError())
    issues = [(i.severity, i.code, i.diagnostics, i.expression) for i in told.issues]
    return json.dumps([told.category, issues]).encode()


def failure_of(message: bytes) -> Exception:
    """What a process could not go on for (`FAILED`), to be raised by its parent."""
    category, about = json.loads(message[1:])
    if not category:
        return SettingError(about)
    return FhirError(category, [Issue(s, c, text, tuple(at)) for s, c, text, at in about])
