"""Opening a lake folder with the master key that the settings name."""

from __future__ import annotations

from pathlib import Path

from schemas.outcomes import FhirError
from service.settings import SettingError, Settings
from service.workers.part import Part
from storage.backup.backup_folder import BackupFolder
from storage.backup.restore import RestoreReport, restore
from storage.elsewhere import Elsewhere, Published
from storage.keys import MasterKey
from storage.lake import Lake
from storage.lake_folder import LakeFolder
from storage.master_keys.key_file import KeyFileMasterKey
from storage.master_keys.named import named
from storage.master_keys.passphrase import PassphraseMasterKey

_SETTINGS = ("master_key", "master_key_file", "passphrase_file")


def master_key(settings: Settings) -> MasterKey | None:
    """The configured master key; None stands for the lake's own key file."""
    given = [name for name in _SETTINGS if getattr(settings, name)]
    if len(given) > 1:
        raise SettingError(f"set {given[0]} or {given[1]}, not both")
    if settings.master_key:
        return named(settings.master_key)
    if settings.master_key_file:
        return KeyFileMasterKey(Path(settings.master_key_file).expanduser())
    if settings.passphrase_file:
        return PassphraseMasterKey.from_file(Path(settings.passphrase_file).expanduser())
    return None


def restore_lake(
    settings: Settings, backups: Path, keystore_file: Path, id: str | None
) -> RestoreReport:
    """Make the lake of the settings, a new folder, from a backup; see `storage.backup.restore`."""
    folder = LakeFolder(settings.data_path)
    key = master_key(settings)
    if key is None:
        raise SettingError(
            "a backup has no keys: name the lake's master key, e.g. --master-key file:PATH, or "
            "file:<lake>/keys/master.key where the lake had its own"
        )
    return restore(BackupFolder(backups), folder, keystore_file, key, id)


def open_lake(settings: Settings, *, create: bool = True) -> Lake:
    """The lake of the settings, open for reading and writing (setting `read_only`: for reading).

    The caller closes it.
    """
    return _open(settings, master_key(settings), create=create)


def open_part(part: Part) -> Lake:
    """The lake of a process that is a part of a service: fronts open it to be read."""
    return _open(
        part.settings,
        part.secrets.master_key,
        read_only=part.front is not None or part.settings.read_only,
        published=part.published,
        elsewhere=part.elsewhere,
    )


def _open(
    settings: Settings,
    key: MasterKey | None,
    *,
    create: bool = True,
    read_only: bool | None = None,
    published: Published | None = None,
    elsewhere: Elsewhere | None = None,
) -> Lake:
    return Lake.open(
        settings.data_path,
        master_key=key,
        create=create,
        segments_url=settings.segments_url,
        read_only=settings.read_only if read_only is None else read_only,
        unaudited=settings.unaudited_reads,
        published=published,
        elsewhere=elsewhere,
    )


def open_to_read(settings: Settings) -> Lake:
    """The lake of the settings for who only reads: read-only where another process has it open.

    The caller closes it.
    """
    try:
        return open_lake(settings, create=False)
    except FhirError as failure:
        if failure.category != "conflict":
            raise
    return Lake.open(
        settings.data_path,
        master_key=master_key(settings),
        segments_url=settings.segments_url,
        read_only=True,
        unaudited=settings.unaudited_reads,
    )
