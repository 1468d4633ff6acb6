"""Failures of our own: an incident number for the client, no data for the log."""

from __future__ import annotations

import asyncio
import logging

import httpx
import pytest
from fastapi import FastAPI

from schemas.outcomes import ISSUE_CODES
from service import errors


def test_every_category_has_a_status() -> None:
    assert set(errors.STATUS) == set(ISSUE_CODES)
    assert all(400 <= status < 600 for status in errors.STATUS.values())


def test_unforeseen_failures_tell_neither_client_nor_log_the_data(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = FastAPI()
    errors.install(app)

    @app.get("/boom")
    def boom() -> None:
        raise KeyError("Zebrowitz")

    async def call() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get("/boom")

    with caplog.at_level(logging.DEBUG):
        response = asyncio.run(call())
    assert response.status_code == 500
    assert response.json()["resourceType"] == "OperationOutcome"
    incident = response.text.split("incident ")[1][:12]
    assert incident in caplog.text
    assert "KeyError" in caplog.text
    assert "Zebrowitz" not in caplog.text + response.text
