"""Sealed bytes in an S3 bucket, with object lock where the bucket has it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from station.custody.bodies import BodyError, opening_bytes

_PART_BYTES = 1024 * 1024


class S3Bodies:
    """A bucket. The opening, with the envelopes, is an object of its own: without it the rest cannot be opened.

    Where the bucket has object lock, each object is locked (governance) until the recording is due; the station's
    account must be allowed to bypass that when somebody decides that a recording is not needed.
    """

    def __init__(self, bucket: str, prefix: str, endpoint: str | None = None) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        config = Config(connect_timeout=5, read_timeout=30, retries={"max_attempts": 3})
        try:
            self._s3: Any = boto3.client("s3", endpoint_url=endpoint, config=config)
            self._locks = self._has_lock()
        except (BotoCoreError, ClientError, ValueError) as error:
            raise BodyError(f"cannot use s3://{bucket}: {error}") from None

    def put(self, name: str, source: Path, keep_until: datetime) -> None:
        """Upload both parts; the opening last, so that a half upload is nothing."""
        lock: dict[str, Any] = (
            {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": keep_until.astimezone(UTC)}
            if self._locks
            else {}
        )
        try:
            size = opening_bytes(source)
            with source.open("rb") as file:
                opening = file.read(size)
                for key, body in ((f"{name}.rest", file), (f"{name}.opening", opening)):
                    self._s3.put_object(
                        Bucket=self._bucket, Key=self._prefix + key, Body=body, ChecksumAlgorithm="SHA256", **lock
                    )
            source.unlink()
        except (BotoCoreError, ClientError, OSError) as error:
            raise BodyError(f"cannot keep s3://{self._bucket}/{self._prefix}{name}: {error}") from None

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        """A copy, in a folder that nobody else can read, for as long as it is used."""
        with TemporaryDirectory(prefix="getuige-") as folder:
            path = Path(folder) / "body.seg"
            try:
                with path.open("wb") as file:
                    for key in (f"{name}.opening", f"{name}.rest"):
                        body = self._s3.get_object(Bucket=self._bucket, Key=self._prefix + key)["Body"]
                        for block in body.iter_chunks(_PART_BYTES):
                            file.write(block)
            except (BotoCoreError, ClientError, OSError) as error:
                raise BodyError(f"cannot read s3://{self._bucket}/{self._prefix}{name}: {error}") from None
            yield path

    def destroy(self, name: str) -> None:
        """Delete every version of the opening, then of the rest."""
        for key in (f"{name}.opening", f"{name}.rest"):
            try:
                found = self._s3.list_object_versions(Bucket=self._bucket, Prefix=self._prefix + key)
                versions = [*found.get("Versions", ()), *found.get("DeleteMarkers", ())]
                for item in versions:
                    if item["Key"] == self._prefix + key:
                        bypass = {"BypassGovernanceRetention": True} if self._locks else {}
                        self._s3.delete_object(
                            Bucket=self._bucket, Key=item["Key"], VersionId=item["VersionId"], **bypass
                        )
            except (BotoCoreError, ClientError) as error:
                raise BodyError(f"cannot destroy s3://{self._bucket}/{self._prefix}{key}: {error}") from None

    def _has_lock(self) -> bool:
        try:
            found = self._s3.get_object_lock_configuration(Bucket=self._bucket)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "ObjectLockConfigurationNotFoundError":
                return False
            raise
        return bool(found["ObjectLockConfiguration"].get("ObjectLockEnabled") == "Enabled")
