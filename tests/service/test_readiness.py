"""What process managers are told of a lake that cannot store anything."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import apsw
import pytest

from schemas.outcomes import FhirError
from service.operations.health import readyz
from storage.lake import Lake


def answer(lake: Lake, nlp: str = "ready") -> tuple[int, dict[str, Any]]:
    ctx: Any = SimpleNamespace(lake=lake, enricher=SimpleNamespace(state=nlp))
    response = readyz(ctx)
    return response.status_code, json.loads(bytes(response.body))


def test_a_lake_that_stopped_writing_is_not_ready_and_says_why(tmp_path: Path) -> None:
    with Lake.open(tmp_path / "lake") as lake:
        assert answer(lake) == (200, {"lake": "open", "nlp": "ready"})
        assert answer(lake, "loading")[0] == 503

        def fail(_connection: apsw.Connection) -> None:
            raise apsw.IOError("x")

        with pytest.raises(FhirError):
            lake._writer.run(fail)
        status, body = answer(lake)
        assert (status, body["lake"]) == (503, "stopped")
        assert "restart" in body["problem"] and "\n" not in body["problem"]
