"""Several datastores in one service: nothing of one is seen, or opened, through another."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from service.auth import new_token
from service.cli import main
from service.settings import SettingError, check_exposure, load_settings
from storage.lake import Lake
from storage.master_keys.key_file import KeyFileMasterKey

from .conftest import FHIR, Service, assert_outcome


def token(name: str, file: Path) -> dict[str, str]:
    return {"Authorization": f"Bearer {new_token(name, file)}"}


def test_each_has_its_own_data_keys_and_tokens(
    tmp_path: Path,
    start_service: Callable[..., Service],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    own, clinic = token("main", tmp_path / "main.txt"), token("clinic", tmp_path / "clinic.txt")
    KeyFileMasterKey.create(tmp_path / "clinic.key")
    config = tmp_path / "chartlake.toml"
    config.write_text(
        "nlp = false\n[datastores.clinic]\n"
        f'data = "{tmp_path}/clinic"\nmaster_key = "file:{tmp_path}/clinic.key"\n'
        f'api_token_file = "{tmp_path}/clinic.txt"\n'
        f'[datastores.open-data]\ndata = "{tmp_path}/open"\n'
    )
    service = start_service(
        "lake",
        "--api-token-file",
        str(tmp_path / "main.txt"),
        CHARTLAKE_CONFIG=str(config),
    )
    url = f"{service.url}/datastores/clinic"

    def put(base: str, id: str, headers: dict[str, str]) -> httpx.Response:
        resource = {"resourceType": "Patient", "id": id, "identifier": [{"value": "1"}]}
        return httpx.put(f"{base}/fhir/Patient/{id}", json=resource, headers={**FHIR, **headers})

    def get(address: str, headers: dict[str, str]) -> httpx.Response:
        return httpx.get(address, headers=headers)

    assert put(service.url, "of-main", own).status_code == 201
    made = put(url, "of-clinic", clinic)
    assert made.status_code == 201
    assert made.headers["location"] == f"{url}/fhir/Patient/of-clinic/_history/1"
    assert put(f"{service.url}/datastores/open-data", "of-all", {}).status_code == 201
    # A token opens its own datastore alone.
    assert_outcome(put(url, "x", own), 401)
    assert_outcome(put(service.url, "x", clinic), 401)
    for place in ("/fhir/Patient", "/fhir/Patient/of-clinic", "/status", "/openapi.json", "/sql"):
        assert get(url + place, own).status_code == 401, place
        assert get(url + place, {}).status_code == 401, place
        assert get(service.url + place.replace("clinic", "main"), clinic).status_code == 401
    # What has no PHI is open in each.
    for root in (service.url, url):
        for place in ("/healthz", "/readyz", "/fhir/metadata"):
            assert get(root + place, {}).status_code == 200
    # One does not know the other's resources.
    assert_outcome(get(f"{url}/fhir/Patient/of-main", clinic), 404)
    assert_outcome(get(f"{service.url}/fhir/Patient/of-clinic", own), 404)
    bundle = get(f"{url}/fhir/Patient?_count=1", clinic).json()
    assert [e["fullUrl"] for e in bundle["entry"]] == [f"{url}/fhir/Patient/of-clinic"]
    assert all(link["url"].startswith(f"{url}/fhir/") for link in bundle["link"])
    assert get(url, clinic).json()["fhir"] == f"{url}/fhir"
    query = {"query": "SELECT count(*) AS n FROM patient"}
    answer = httpx.post(f"{url}/sql", json=query, headers=clinic)
    assert answer.json()["rows"] == [[1]], answer.text
    # No such datastore, and no way out of one by its path.
    assert get(f"{service.url}/datastores/none/fhir/Patient", own).status_code == 404
    assert get(f"{service.url}/datastores/clinicx/fhir/metadata", own).status_code == 404
    raw = httpx.get(f"{url}/%2e%2e/%2e%2e/fhir/Patient", headers=clinic)
    assert raw.status_code in (401, 404)
    service.stop()
    with Lake.open(tmp_path / "clinic", master_key=KeyFileMasterKey(tmp_path / "clinic.key")) as on:
        assert on.t == 1
        assert on.verify() == []
    # The command line finds a datastore by its name.
    monkeypatch.chdir(tmp_path)
    assert main(["keys", "show", "--datastore", "clinic"]) == 0
    assert f"opened by    the master key file {tmp_path}/clinic.key" in capsys.readouterr().out
    assert main(["keys", "show", "--datastore", "none"]) == 1
    assert "there is no datastore 'none'" in capsys.readouterr().err


def test_one_that_cannot_be_opened_is_named_and_nothing_is_served(tmp_path: Path) -> None:
    KeyFileMasterKey.create(tmp_path / "a.key")
    KeyFileMasterKey.create(tmp_path / "b.key")
    with Lake.open(tmp_path / "clinic", master_key=KeyFileMasterKey(tmp_path / "a.key")):
        pass
    (tmp_path / "chartlake.toml").write_text(
        'nlp = false\ndata = "main"\n'
        '[datastores.clinic]\ndata = "clinic"\nmaster_key = "file:b.key"\n'
    )
    command = [sys.executable, "-m", "service.cli", "serve", "--port", "0"]
    # Where the tests find their data is also how the setting `data` is spelled.
    env = {name: value for name, value in os.environ.items() if name != "CHARTLAKE_DATA"}
    result = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 1
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("chartlake: datastore clinic: The lake cannot be opened with")
    with Lake.open(tmp_path / "main"):
        pass


def load(tmp_path: Path, text: str, **environ: str) -> dict[str, str]:
    (tmp_path / "chartlake.toml").write_text(text)
    settings = load_settings(environ=environ, config_file=tmp_path / "chartlake.toml")
    check_exposure(settings)
    return {name: f"{one.data} {one.base_url}" for name, one in settings.datastores.items()}


def test_settings_of_datastores(tmp_path: Path) -> None:
    text = (
        'segments_url = "s3://a/b"\nmaster_key_file = "main.key"\n'
        'api_token_file = "t"\nsql_timeout_s = 7\n'
        'base_url = "https://lake.example/"\n[datastores.a]\ndata = "a"\nsql_max_rows = 5\n'
    )
    assert load(tmp_path, text) == {"a": "a https://lake.example/datastores/a"}
    found = load_settings(environ={}, config_file=tmp_path / "chartlake.toml").datastores["a"]
    # Limits are taken over; places, keys and tokens never.
    assert (found.sql_timeout_s, found.sql_max_rows) == (7, 5)
    assert (found.master_key_file, found.api_token_file, found.segments_url) == ("", "", "")
    assert load(tmp_path, "", CHARTLAKE_DATASTORES__MY_CLINIC__DATA="b") == {"my-clinic": "b "}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("datastores = 1", "are tables"),
        ("[datastores.a]\n", "set data"),
        ('[datastores.A]\ndata = "x"', "lower-case"),
        ('[datastores."a/b"]\ndata = "x"', "lower-case"),
        ('[datastores.a]\ndata = "x"\nport = 1', "port is a setting of the service"),
        ('[datastores.a]\ndata = "x"\nprot = 1', "unknown setting 'prot'"),
        ('[datastores.a]\ndata = "data"', "is the folder of the default datastore"),
        ('[datastores.a]\ndata = "x"\n[datastores.b]\ndata = "x"', "is the folder of datastore a"),
        (
            'host = "0.0.0.0"\napi_token_file = "t"\n[datastores.a]\ndata = "x"',
            "datastore a: refusing to listen on 0.0.0.0",
        ),
    ],
)
def test_wrong_settings_of_datastores_are_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        load(tmp_path, text)
