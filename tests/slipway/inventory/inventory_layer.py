"""Layers, made up."""

import io
import tarfile
from dataclasses import dataclass


@dataclass(frozen=True)
class Link:
    """What an entry leads to; `hard`: by the same bytes."""

    to: str
    hard: bool = False


FOLDER = object()


def layer_of(files, *, packed="gz"):
    """A layer: path -> bytes, a link, or a folder."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=f"w:{packed}") as tar:
        for path, it in files.items():
            entry = tarfile.TarInfo(path)
            entry.mode = 0o755
            if isinstance(it, Link):
                entry.type = tarfile.LNKTYPE if it.hard else tarfile.SYMTYPE
                entry.linkname = it.to
                tar.addfile(entry)
            elif it is FOLDER:
                entry.type = tarfile.DIRTYPE
                tar.addfile(entry)
            else:
                entry.size = len(it)
                tar.addfile(entry, io.BytesIO(it))
    return stream.getvalue()
