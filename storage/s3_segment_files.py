"""Segments in an S3-compatible object store.

pyarrow reads; boto3 writes, because an upload that fails has to be aborted: pyarrow would complete
it when its stream is let go of. The objects are encrypted before they leave this process. Access
keys come from the AWS environment or profile alone, never from the URL or a setting.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pyarrow.fs as fs

from schemas.outcomes import FhirError, error
from storage.segment_files import SegmentFiles, Sink

log = logging.getLogger("chartlake.storage")

# Says which lake's segments lie under a prefix.
MARKER = "chartlake.json"

_OPTIONS = ("endpoint_override", "region", "scheme")

# S3 wants at least 5 MiB in each part but the last.
_PART_BYTES = 8 * 2**20

# What pyarrow says of a request that failed, before the details.
_SAID = re.compile(r"AWS Error ([A-Z_]+)")

_CONNECT_S, _REQUEST_S, _TRIES = 5, 30, 3


class S3SegmentFiles(SegmentFiles):
    """Segments as objects `<prefix>/<ResourceType>/<name>.parquet` of one bucket."""

    def __init__(self, url: str) -> None:
        """`url`: `s3://bucket/prefix?endpoint_override=host:port&region=…&scheme=http`.

        Reaches for nothing yet. Raises FhirError `value` for any other form.
        """
        bucket, prefix, options = _parsed(url)
        self.root = f"{bucket}/{prefix}"
        self.place = url
        self.filesystem = fs.S3FileSystem(
            region=options.get("region"),
            scheme=options.get("scheme", "https"),
            endpoint_override=options.get("endpoint_override"),
            connect_timeout=_CONNECT_S,
            request_timeout=_REQUEST_S,
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_TRIES),
        )
        self._bucket = bucket
        self._prefix = prefix
        self._options = options
        self._lake_id: str | None = None
        self._clients = threading.Lock()
        self._made: Any = None

    def claim(self, lake_id: str) -> None:
        """Take the prefix for a new lake.

        Raises FhirError: `conflict` (it holds something already), `unavailable`.
        """
        with self._reaching():
            marker = self._marker()
            if marker is None and self.list():
                raise error("conflict", f"{self.place} is not empty. Name an unused prefix.")
            if marker is not None and marker != lake_id:
                raise error(
                    "conflict",
                    f"{self.place} holds the segments of another lake. Name an unused prefix, or "
                    f"delete its {MARKER} if there is no such lake any more.",
                )
            body = json.dumps({"lake": lake_id}).encode()
            self._client().put_object(Bucket=self._bucket, Key=self._key(MARKER), Body=body)

    def check(self, lake_id: str) -> None:
        """Refuse a store that is not this lake's, before anything is read or written there.

        One that cannot be reached is looked at again before the first write. Raises FhirError
        `invalid`.
        """
        self._lake_id = lake_id
        try:
            self._recognise()
        except FhirError as failure:
            if failure.category != "unavailable":
                raise
            log.warning("the object store of the segments cannot be reached")

    @contextlib.contextmanager
    def writing(self, resource_type: str, name: str) -> Iterator[Sink]:
        """See `SegmentFiles`."""
        with self._reaching():
            self._recognise()
            upload = _Upload(
                self._client(), self._bucket, self._key(f"{resource_type}/{name}.parquet")
            )
            sink = Sink(upload)
            try:
                yield sink
                upload.complete()
            except BaseException:
                sink.give_up()
                upload.abort()
                raise

    def delete(self, resource_type: str, name: str) -> None:
        """See `SegmentFiles`; also what a crash left of an upload, which no listing shows."""
        key = self._key(f"{resource_type}/{name}.parquet")
        with self._reaching():
            client = self._client()
            client.delete_object(Bucket=self._bucket, Key=key)
            found = client.list_multipart_uploads(Bucket=self._bucket, Prefix=key)
            for upload in found.get("Uploads", ()):
                client.abort_multipart_upload(
                    Bucket=self._bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                )

    def list(self) -> list[str]:
        """See `SegmentFiles`; without the marker."""
        return [name for name in super().list() if name != MARKER]

    def failure(self, exception: BaseException) -> FhirError | None:
        """See `SegmentFiles`."""
        if isinstance(exception, FhirError):
            return exception if exception.category == "unavailable" else None
        if isinstance(exception, FileNotFoundError):
            return None
        if _SAID.search(str(exception)) is None:
            # Broken off while reading, or damaged: a store that answers tells them apart.
            try:
                with self._reaching():
                    self._marker()
            except FhirError as unreachable:
                return unreachable
            return None
        return self._unavailable(exception)

    def _recognise(self) -> None:
        """Raises FhirError `invalid` when the store is not this lake's; once it was, no more."""
        if self._lake_id is None:
            return
        with self._reaching():
            marker = self._marker()
        if marker != self._lake_id:
            held = "holds no lake's segments" if marker is None else "holds another lake's"
            raise error(
                "invalid",
                f"{self.place} {held}: it was moved, emptied or is another store. Bring it back; "
                "nothing was changed.",
            )
        self._lake_id = None

    def _marker(self) -> str | None:
        """The lake whose segments are here; None when there is no marker."""
        from botocore.exceptions import ClientError

        try:
            found = self._client().get_object(Bucket=self._bucket, Key=self._key(MARKER))
        except ClientError as failure:
            if failure.response.get("Error", {}).get("Code") in ("NoSuchKey", "NoSuchBucket"):
                return None
            raise
        try:
            return str(json.loads(found["Body"].read())["lake"])
        except (ValueError, KeyError, TypeError):
            return ""

    def _key(self, file: str) -> str:
        return f"{self._prefix}/{file}"

    def _client(self) -> Any:
        """The boto3 client; threads may share it."""
        import boto3
        from botocore.config import Config

        with self._clients:
            if self._made is None:
                endpoint = self._options.get("endpoint_override")
                scheme = self._options.get("scheme", "https")
                self._made = boto3.session.Session().client(
                    "s3",
                    region_name=self._options.get("region"),
                    endpoint_url=f"{scheme}://{endpoint}" if endpoint else None,
                    config=Config(
                        connect_timeout=_CONNECT_S,
                        read_timeout=_REQUEST_S,
                        retries={"max_attempts": _TRIES, "mode": "standard"},
                        s3={"addressing_style": "path" if endpoint else "auto"},
                    ),
                )
            return self._made

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError, OSError) as failure:
            raise self._unavailable(failure) from None

    def _unavailable(self, exception: BaseException) -> FhirError:
        response = getattr(exception, "response", None) or {}
        said = _SAID.search(str(exception))
        reason = response.get("Error", {}).get("Code") or type(exception).__name__
        if said is not None:
            reason = said[1]
        return error(
            "unavailable",
            f"The object store {self.place} cannot be used ({reason}). What is in the hot tier "
            "can be read and written; ask again when the store answers.",
        )


class _Upload:
    """One object, sent in parts as it is written; it is there when `complete` returns."""

    def __init__(self, client: Any, bucket: str, key: str) -> None:
        self._client = client
        self._at = {"Bucket": bucket, "Key": key}
        self._id: str | None = None
        self._parts: list[dict[str, Any]] = []
        self._held = bytearray()

    def write(self, data: bytes, /) -> int:
        """Append, sending what makes up a part."""
        self._held += data
        while len(self._held) >= _PART_BYTES:
            self._send(bytes(self._held[:_PART_BYTES]))
            del self._held[:_PART_BYTES]
        return len(data)

    def complete(self) -> None:
        """Send the rest and let the object appear."""
        if self._id is None:
            self._client.put_object(**self._at, Body=bytes(self._held))
            return
        if self._held:
            self._send(bytes(self._held))
        self._client.complete_multipart_upload(
            **self._at, UploadId=self._id, MultipartUpload={"Parts": self._parts}
        )

    def abort(self) -> None:
        """Leave nothing of it, as far as the store can be reached; `delete` does it again."""
        if self._id is not None:
            with contextlib.suppress(Exception):
                self._client.abort_multipart_upload(**self._at, UploadId=self._id)

    def _send(self, data: bytes) -> None:
        if self._id is None:
            self._id = self._client.create_multipart_upload(**self._at)["UploadId"]
        number = len(self._parts) + 1
        sent = self._client.upload_part(**self._at, UploadId=self._id, PartNumber=number, Body=data)
        self._parts.append({"ETag": sent["ETag"], "PartNumber": number})


def _parsed(url: str) -> tuple[str, str, dict[str, str]]:
    """Bucket, prefix and options of a URL."""
    parts = urlsplit(url)
    bucket, prefix = parts.netloc, parts.path.strip("/")
    if parts.scheme != "s3" or not bucket or not prefix or "@" in bucket:
        raise error(
            "value",
            "segments_url must be s3://BUCKET/PREFIX, without access keys in it: those come from "
            "the AWS environment or profile.",
        )
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(set(options) - set(_OPTIONS))
    if unknown:
        raise error(
            "value", f"segments_url has an unknown option {unknown[0][:32]!r}; known: {_OPTIONS}."
        )
    if options.get("scheme", "https") not in ("http", "https"):
        raise error("value", "segments_url: scheme must be http or https.")
    return bucket, prefix, options
