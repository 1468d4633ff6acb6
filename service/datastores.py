"""Several datastores in one service: each a lake, keys and tokens of its own, by its address.

The default datastore is at `/`; the one named NAME, with everything, below `/datastores/NAME`.
They share the process and the port, nothing else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TypeVar

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from schemas.outcomes import FhirError
from schemas.releases import ReleaseError, ReleaseStore
from service.app import create_app
from service.lake_access import open_lake, open_part
from service.settings import SettingError, Settings
from service.workers.part import Part
from storage.lake import Lake

R = TypeVar("R")

PREFIX = "/datastores/"

# A segment of a handful of rows is not worth a file: fewer stay in the hot tier at the end.
FLUSH_AT_CLOSE_ROWS = 1_000


class Datastores:
    """ASGI application that hands each request to the application of its datastore."""

    def __init__(self, default: FastAPI, others: Mapping[str, FastAPI]) -> None:
        self._default = default
        self._others = {f"{PREFIX}{name}": app for name, app in others.items()}

        @asynccontextmanager
        async def lifespan(_app: Starlette) -> AsyncIterator[None]:
            async with AsyncExitStack() as stack:
                for app in (default, *others.values()):
                    await stack.enter_async_context(app.router.lifespan_context(app))
                yield

        self._lifespan = Starlette(lifespan=lifespan)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; a datastore's application sees its own address as the root."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        path = scope["path"]
        for root, app in self._others.items():
            if path == root or path.startswith(f"{root}/"):
                inner = {**scope, "root_path": scope.get("root_path", "") + root}
                inner["path"] = path if path != root else f"{root}/"
                await app(inner, receive, send)
                return
        await self._default(scope, receive, send)


def each(settings: Settings, make: Callable[[Settings, int], R]) -> list[R]:
    """What `make` gives for each datastore, the default one first, and its number.

    Raises FhirError or SettingError, naming the datastore.
    """
    made = [make(settings, 0)]
    for number, (name, own) in enumerate(settings.datastores.items(), 1):
        made.append(_named(name, own, number, make))
    return made


@contextmanager
def open_datastores(
    settings: Settings, parts: Sequence[Part] | None = None
) -> Iterator[tuple[ASGIApp, list[Lake]]]:
    """The application over all datastores of the settings; their lakes are closed at the end.

    `parts`: what this process is of a service of several, datastore by datastore. Raises
    FhirError, SettingError or ReleaseError, naming the datastore, when one of them cannot be
    opened; none is left open then.
    """
    lakes: list[Lake] = []

    def open_one(own: Settings, number: int) -> FastAPI:
        if own.nlp:
            # Else the processes that read notes would find it out, one after the other.
            ReleaseStore(own.terminology_path).check()
        part = None if parts is None else parts[number]
        lakes.append(open_lake(own) if part is None else open_part(part))
        return create_app(lakes[-1], own, part)

    try:
        default, *others = each(settings, open_one)
        named = dict(zip(settings.datastores, others, strict=True))
        yield (Datastores(default, named) if named else default), lakes
    finally:
        _close(lakes)


def _named(name: str, own: Settings, number: int, make: Callable[[Settings, int], R]) -> R:
    """What `make` gives; its failures name the datastore."""
    try:
        return make(own, number)
    except (SettingError, ReleaseError) as failure:
        raise SettingError(f"datastore {name}: {failure}") from None
    except FhirError as failure:
        text = "; ".join(issue.diagnostics for issue in failure.issues)
        raise SettingError(f"datastore {name}: {text}") from None
    except OSError as failure:
        text = f"{failure.filename}: {failure.strerror}"
        raise SettingError(f"datastore {name}: {text}") from None


def _close(lakes: list[Lake]) -> None:
    """Close every one of them, also when another fails to."""
    if not lakes:
        return
    try:
        lake = lakes[0]
        worth = not lake.read_only and lake.stats()["hot_rows"] >= FLUSH_AT_CLOSE_ROWS
        lake.close(flush=worth)
    finally:
        _close(lakes[1:])
