"""Paths of a project: its own files, and those that it refers to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from ..io.record_paths import keeps_absolute_paths, real_path, relative_path

PROJECT_SUFFIX = ".nuclei.json"
# Of the folder beside the file that has its labels and tables.
PROJECT_FOLDER_SUFFIX = ".nuclei_files"


@dataclass(frozen=True)
class ProjectFile:
    """A file that a project refers to, and what it was like.

    Attributes
    ----------
    relative : str
        Path from the folder of the project, with slashes; is tried first.
    absolute : str
        Of addresses of the network, and of files on another disk; of others only where the user
        wants it, as it tells who made the project.
    bytes : int or None
        None: it is a folder, or in the network.
    modified : int or None
        Time in nanoseconds.
    """

    relative: str
    absolute: str
    bytes: int | None = None
    modified: int | None = None

    @classmethod
    def of(cls, path: str | Path, folder: Path) -> ProjectFile:
        """Describe a file for a project in a folder."""
        if is_address(path):
            return cls("", str(path))
        file, relative = real_path(path), relative_path(path, folder)
        absolute = str(file) if relative is None or keeps_absolute_paths() else ""
        relative = relative or file.name
        if not file.is_file():
            return cls(relative, absolute)
        status = file.stat()
        return cls(relative, absolute, status.st_size, status.st_mtime_ns)

    @property
    def path(self) -> str:
        """Where it was, for messages."""
        return self.absolute or self.relative

    @property
    def name(self) -> str:
        """Name of the file; the path may be one of another computer."""
        return PureWindowsPath(self.path).name

    def find(self, folder: Path) -> str | None:
        """Return the present path of the file, or None: from the project, absolute, or beside."""
        if is_address(self.absolute):
            return self.absolute
        before = [Path(self.absolute)] if self.absolute else []
        places = (folder / self.relative, *before, folder / self.name)
        return next((str(path) for path in places if self.name and _exists(path)), None)

    def is_same_size(self, path: str) -> bool:
        """Return whether a file still has the size that it had; of folders that is unknown."""
        return self.bytes is None or Path(path).stat().st_size == self.bytes

    def is_untouched(self, path: str) -> bool:
        """Return whether a file has the size and the time that it had."""
        if self.bytes is None:
            return False
        status = Path(path).stat()
        return (status.st_size, status.st_mtime_ns) == (self.bytes, self.modified)


def is_address(path: str | Path) -> bool:
    """Return whether a path is an address in the network."""
    return "://" in str(path)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # no name that this system can have
        return False


def with_project_suffix(path: str | Path) -> Path:
    """Return a path with the suffix of projects, which is added where it is missing."""
    path = Path(path)
    if path.name.lower().endswith(PROJECT_SUFFIX):
        return path
    return path.with_name(path.name.removesuffix(".json") + PROJECT_SUFFIX)


def project_folder(path: Path) -> Path:
    """Return the folder beside a project file that has its labels and tables."""
    return path.with_name(f"{project_stem(path)}{PROJECT_FOLDER_SUFFIX}")


def project_stem(path: Path) -> str:
    """Return the name of a project file without its suffix."""
    name = path.name
    if name.lower().endswith(PROJECT_SUFFIX):
        return name[: -len(PROJECT_SUFFIX)]
    return name.removesuffix(".json")
