"""Opening a lake folder with the master key that the settings name."""

from __future__ import annotations

from pathlib import Path

from schemas.outcomes import FhirError
from service.settings import SettingError, Settings
from storage.backup.backup_folder import BackupFolder
from storage.backup.restore import RestoreReport, restore
from storage.keys import KeyFileMasterKey, MasterKey, PassphraseMasterKey
from storage.lake import Lake
from storage.lake_folder import LakeFolder


def master_key(settings: Settings) -> MasterKey | None:
    """The configured master key; None stands for the lake's own key file."""
    if settings.master_key_file and settings.passphrase_file:
        raise SettingError("set master_key_file or passphrase_file, not both")
    if settings.master_key_file:
        return KeyFileMasterKey(Path(settings.master_key_file).expanduser())
    if settings.passphrase_file:
        path = Path(settings.passphrase_file).expanduser()
        try:
            passphrase = path.read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as failure:
            raise SettingError(f"passphrase_file {path}: {type(failure).__name__}") from None
        return PassphraseMasterKey(passphrase)
    return None


def restore_lake(
    settings: Settings, backups: Path, keystore_file: Path, id: str | None
) -> RestoreReport:
    """Make the lake of the settings, a new folder, from a backup; see `storage.backup.restore`."""
    folder = LakeFolder(settings.data_path)
    key = master_key(settings) or KeyFileMasterKey(folder.default_master_key)
    return restore(BackupFolder(backups), folder, keystore_file, key, id)


def open_lake(settings: Settings, *, create: bool = True) -> Lake:
    """The lake of the settings, open for reading and writing (setting `read_only`: for reading).

    The caller closes it.
    """
    return Lake.open(
        settings.data_path,
        master_key=master_key(settings),
        create=create,
        segments_url=settings.segments_url,
        read_only=settings.read_only,
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
    )
