"""Writing runs: the folder that keeps them, the writer that loses no finished epoch, the importer.

It guards against killed processes, power cuts, full disks and strangers; a learner can skip it.
"""

from lab.store.importer import Files, RunImporter, files_of, temporary_folder, unpack, unpacked
from lab.store.store import RunStore, check_label, default_path, id_of, is_exactly_resumable
from lab.store.writer import RunWriter

__all__ = [
    "Files",
    "RunImporter",
    "RunStore",
    "RunWriter",
    "check_label",
    "default_path",
    "files_of",
    "id_of",
    "is_exactly_resumable",
    "temporary_folder",
    "unpack",
    "unpacked",
]
