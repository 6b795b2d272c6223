"""The ObjectStore protocol and its three implementations: memory, files, S3."""

from penstock.storage.files import FileStore
from penstock.storage.memory import MemoryStore
from penstock.storage.objects import Entry, ObjectStore
from penstock.storage.opening import Opening, open_store, open_uploads
from penstock.storage.s3 import S3Store
from penstock.storage.settings import S3Settings
from penstock.storage.uploads import MultipartUploads, Part, Upload

__all__ = [
    "Entry",
    "FileStore",
    "MemoryStore",
    "MultipartUploads",
    "ObjectStore",
    "Opening",
    "Part",
    "S3Settings",
    "S3Store",
    "Upload",
    "open_store",
    "open_uploads",
]
