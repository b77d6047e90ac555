"""Makes a bundle smaller and quicker to start; `build.mk` runs it, on the Python that the function will run on.

    python3.13 infra/pack.py BUNDLE

Our own code keeps its sources and gets bytecode beside them, so that tracebacks show its lines. Libraries keep their
bytecode alone. It is that of one minor of Python, as their compiled extensions are anyhow. Import CPU halves with it.

The bytecode depends neither on file times, which change on the way to Lambda, nor on where the bundle lies, nor on
chance: one process, one order, and PYTHONHASHSEED=0, which the caller sets. So the same bundle gives the same bytes.
"""

import compileall
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from py_compile import PycInvalidationMode

TASK_ROOT = "/var/task"  # where Lambda unpacks it, and what tracebacks are to say
OURS = ("functions", "shared")
# It reads these files of its own to learn what to import only when asked; without them it imports all of it at once.
READ_AT_RUN_TIME = "anyio/**/__init__.py"
ELF_64_LITTLE_ENDIAN = b"\x7fELF\x02\x01"
HEADER_BYTES = 64


def main(bundle: Path) -> None:
    """Raises SystemExit when a source cannot be compiled."""
    for library in sorted(bundle.rglob("*.so")):
        replace(library, without_symbols(library.read_bytes()))
    for metadata in sorted(bundle.glob("*.dist-info/METADATA")):
        replace(metadata, without_description(metadata.read_bytes()))
    kept = set(sources_to_keep(bundle))
    for source in sorted(bundle.rglob("*.py")):
        compile_source(source, bundle, beside=source not in kept)
        if source not in kept:
            source.unlink()


def sources_to_keep(bundle: Path) -> Iterator[Path]:
    for folder in OURS:
        yield from (bundle / folder).rglob("*.py")
    yield from bundle.glob(READ_AT_RUN_TIME)


def compile_source(source: Path, bundle: Path, *, beside: bool) -> None:
    """Write the bytecode of `source`: `beside` it, where Python needs no source, or into `__pycache__`."""
    compiled = compileall.compile_file(
        source,
        quiet=1,
        legacy=beside,
        force=True,
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
        stripdir=str(bundle),
        prependdir=TASK_ROOT,
    )
    if not compiled:
        sys.exit(f"build: {source} cannot be compiled")


def without_symbols(library: bytes) -> bytes:
    """`library` up to the last byte that is ever loaded. Behind it are names and sections, for linkers and debuggers.

    As `strip` does it, but for every processor's libraries, and with the same bytes on every machine.
    """
    if not library.startswith(ELF_64_LITTLE_ENDIAN):
        return library
    (table,) = struct.unpack_from("<Q", library, 32)
    size, number = struct.unpack_from("<HH", library, 54)
    segments = [struct.unpack_from("<8xQ16xQ", library, table + size * index) for index in range(number)]
    end = max(offset + length for offset, length in [*segments, (table, size * number)])
    # In the header: no sections at all (e_shoff, e_shnum, e_shstrndx).
    return library[:40] + bytes(8) + library[48:60] + bytes(4) + library[HEADER_BYTES:end]


def without_description(metadata: bytes) -> bytes:
    """Only the headers, which say what `importlib.metadata` and scanners ask; behind an empty line comes a README."""
    return metadata.partition(b"\n\n")[0] + b"\n"


def replace(path: Path, content: bytes) -> None:
    """Never by writing into the file: it may be a hard link into uv's cache."""
    mode = path.stat().st_mode
    path.unlink()
    path.write_bytes(content)
    path.chmod(mode)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
