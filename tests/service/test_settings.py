"""One table of settings: documented, typed, refused when wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.settings import SETTINGS, SettingError, load_settings

DOCS = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_every_setting_is_documented_with_its_text() -> None:
    text = DOCS.read_text("utf-8")
    for setting in SETTINGS:
        assert f"| `{setting.name}` |" in text
        assert setting.help in text


def test_order_of_precedence(tmp_path: Path) -> None:
    config = tmp_path / "chartlake.toml"
    config.write_text('port = 1\nhost = "127.0.0.2"\ndata = "from-file"\n')
    environ = {"CHARTLAKE_PORT": "2", "CHARTLAKE_HOST": "127.0.0.3"}
    settings = load_settings({"port": 3}, environ=environ, config_file=config)
    assert (settings.port, settings.host, settings.data) == (3, "127.0.0.3", "from-file")


@pytest.mark.parametrize(
    "line",
    [
        "prot = 1",
        'port = "many"',
        "port = -1",
        'nlp = "perhaps"',
        "port =",
        'administrative_references = "x"',
    ],
)
def test_wrong_config_is_refused(tmp_path: Path, line: str) -> None:
    config = tmp_path / "chartlake.toml"
    config.write_text(line)
    with pytest.raises(SettingError):
        load_settings(environ={}, config_file=config)


def test_lists_are_for_settings_that_are_lists(tmp_path: Path) -> None:
    file = tmp_path / "chartlake.toml"
    file.write_text('default_profiles = ["http://a", "http://b"]\n')
    assert load_settings(environ={}, config_file=file).default_profiles == "http://a http://b"
    file.write_text('data = ["a", "b"]\n')
    with pytest.raises(SettingError, match="data must be one text"):
        load_settings(environ={}, config_file=file)


@pytest.mark.parametrize("name", ["validation", "reference_integrity"])
def test_levels_have_names(name: str) -> None:
    with pytest.raises(SettingError, match=f"{name} must be"):
        load_settings({name: "lax"}, environ={})
