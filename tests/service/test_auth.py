"""Nothing off loopback without authentication; loopback safe from web pages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from service.auth import load_tokens, new_token
from service.settings import SettingError, check_exposure, load_settings

from .conftest import Service, assert_outcome


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_other_addresses_need_tokens(host: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="without authentication"):
        check_exposure(load_settings({"host": host}, environ={}))
    check_exposure(load_settings({"host": host, "api_token_file": "x"}, environ={}))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.9.9.9"])
def test_loopback_needs_none(host: str) -> None:
    check_exposure(load_settings({"host": host}, environ={}))


def test_foreign_host_and_origin_are_refused(service: Service) -> None:
    foreign = {"Host": "attacker.example"}
    assert_outcome(service.http.get("/fhir/Patient", headers=foreign), 403)
    origin = {"Origin": "https://attacker.example"}
    assert_outcome(service.http.get("/fhir/Patient", headers=origin), 403)
    own = {"Origin": service.url}
    assert service.http.get("/fhir/Patient", headers=own).status_code == 200


def test_tokens(start_service: Callable[..., Service], tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    token = new_token("app", file)
    assert token not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    service = start_service("lake", "--no-nlp", "--api-token-file", str(file))
    for path in ("/fhir/Patient", "/status", "/sql", "/openapi.json"):
        response = service.http.get(path)
        assert_outcome(response, 401)
        assert response.headers["www-authenticate"] == "Bearer"
    wrong = {"Authorization": "Bearer wrong"}
    assert_outcome(service.http.get("/fhir/Patient", headers=wrong), 401)
    right = {"Authorization": f"Bearer {token}"}
    assert service.http.get("/fhir/Patient", headers=right).status_code == 200
    assert service.http.get("/fhir/metadata").status_code == 200


def test_token_files_are_checked(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    with pytest.raises(SettingError):
        load_tokens(file)
    file.write_text("# nothing\n")
    with pytest.raises(SettingError, match="no token"):
        load_tokens(file)
    file.write_text("app plaintext-token\n")
    with pytest.raises(SettingError, match=":1:"):
        load_tokens(file)
