"""Lay out the file tree of the image: the interpreter, the exporter and its dependencies, and nothing else.

Runs in the build stage with the base image's own Python, as root. The tree is the same, byte for byte, each time:
no time stamps in compiled files (PEP 552, unchecked hashes), fixed modes, owners and times, no caches.
"""

from __future__ import annotations

import argparse
import os
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

UNUSED = frozenset([
    "test", "tests", "idlelib", "tkinter", "turtledemo", "turtle.py", "ensurepip", "venv", "lib2to3",
    "pydoc_data", "pydoc.py", "distutils", "unittest", "doctest.py", "pdb.py", "bdb.py", "cProfile.py",
    "profile.py", "pstats.py", "trace.py", "sqlite3", "dbm", "curses", "xmlrpc", "xml",
    "multiprocessing", "msilib", "this.py", "antigravity.py", "webbrowser.py", "cgi.py", "cgitb.py",
    "mailbox.py", "nntplib.py", "telnetlib.py", "smtpd.py", "smtplib.py", "poplib.py", "imaplib.py",
    "ftplib.py", "pickletools.py", "tabnanny.py", "zipapp.py", "_pydecimal.py", "_pyio.py", "site-packages",
    "dist-packages", "__pycache__", "sitecustomize.py", "bin",
])  # fmt: skip
"""What of the standard library no long-running exporter imports; folders of tests and of scripts anywhere."""

UNUSED_EXTENSIONS = re.compile(
    r"(_test.*|_ctypes_test|_xx.*|xx.*|_tkinter|_sqlite3|_dbm|_gdbm|_curses.*|readline|nis|ossaudiodev|audioop|_elementtree"
    r"|pyexpat|_crypt|spwd|_multiprocessing|_posixshmem|_lsprof|_codecs_.*|_multibytecodec|_yaml)\."
)

ACCOUNT = 65532

LAUNCHER = """\
#!{python} -ISB
import sys

sys.path.append("{packages}")

from exporter.cli import main

sys.exit(main())
"""

PACKAGES = Path("/opt/river-exporter")


def main() -> None:
    """Make the tree of ``--packages`` at ``--tree``."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--packages", type=Path, required=True, help="where pip installed the exporter")
    options.add_argument("--tree", type=Path, required=True, help="the folder to fill")
    given = options.parse_args()
    tree: Path = given.tree
    python = Path(sys.executable).resolve()
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        if Path("/", name).is_symlink():  # a distribution that merged them into /usr
            below(tree, "/").mkdir(parents=True, exist_ok=True)
            below(tree, f"/{name}").symlink_to(Path("/", name).readlink())
    copy(python, tree)
    library = Path(sysconfig.get_path("stdlib"))
    copy_python(library, below(tree, library), library)
    copy_python(given.packages, below(tree, PACKAGES), PACKAGES)
    native = [python, *below(tree, library).rglob("*.so"), *below(tree, PACKAGES).rglob("*.so*")]
    libraries = sorted(set(shared_libraries(native, tree)))
    for path in libraries:
        copy(path, tree)
    write_etc(tree, [python, *libraries])
    launcher = below(tree, "/usr/bin/river-exporter")
    launcher.parent.mkdir(parents=True, exist_ok=True)
    launcher.write_text(LAUNCHER.format(python=python, packages=PACKAGES))
    subprocess.run(["ldconfig", "-r", tree, "-X"], check=True)
    shutil.rmtree(below(tree, "/var/cache"), ignore_errors=True)
    settle(tree, executable={below(tree, python), launcher})


def below(tree: Path, path: str | Path) -> Path:
    """Return where an absolute path lies in the tree."""
    return tree / str(path).lstrip("/")


def copy(path: Path, tree: Path) -> None:
    """Copy a file to its own place in the tree; what is a link in the base becomes the file."""
    target = below(tree, path.parent.resolve() / path.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)


def copy_python(source: Path, target: Path, shown: Path) -> None:
    """Copy a folder of modules, compiled and without their sources, and without what is never imported.

    Args:
        source: where it is.
        target: where it goes.
        shown: its path in the image, for tracebacks.
    """
    for folder, names, files in os.walk(source):
        at = Path(folder).relative_to(source)
        names[:] = [name for name in names if name not in UNUSED and not name.startswith("config-")]
        for name in files:
            if name in UNUSED or UNUSED_EXTENSIONS.match(name) or name.endswith((".a", ".pyi", ".c", ".h", ".pyx")):
                continue
            if at.name.endswith(".dist-info") and name in {"RECORD", "WHEEL", "INSTALLER", "REQUESTED"}:
                continue  # of the installation, not of the package
            place = target / at / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith(".py"):
                compile_module(Path(folder) / name, place.with_suffix(".pyc"), shown / at / name)
            else:
                shutil.copyfile(Path(folder) / name, place)


def compile_module(source: Path, target: Path, shown: Path) -> None:
    """Compile one module; nothing about its source's time or place stays."""
    py_compile.compile(
        str(source),
        str(target),
        dfile=str(shown),
        doraise=True,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )


def shared_libraries(files: Iterable[Path], tree: Path) -> Iterator[Path]:
    """Yield the base's libraries that these files are linked with, the loader itself included."""
    for file in files:
        listed = subprocess.run(["ldd", file], capture_output=True, text=True, check=False).stdout
        if missing := re.findall(r"(\S+) => not found", listed):
            raise SystemExit(f"{file} needs {', '.join(missing)}, which the base image lacks")
        for name in re.findall(r"(/\S+) \(0x", listed):
            if not Path(name).is_relative_to(tree):  # what a wheel brings lies beside it
                yield Path(name)
            if Path(name).name.startswith("libc.so"):
                yield from Path(name).parent.glob("libgcc_s.so.1")  # opened by libc when a thread is cancelled


def write_etc(tree: Path, copied: Iterable[Path]) -> None:
    """Write what libc and OpenSSL look up, and which packages of the distribution are in, with their licences."""
    etc = below(tree, "/etc")
    etc.mkdir(exist_ok=True)
    (etc / "passwd").write_text(f"root:x:0:0:root:/:/\nriver-exporter:x:{ACCOUNT}:{ACCOUNT}:river-exporter:/:/\n")
    (etc / "group").write_text(f"root:x:0:\nriver-exporter:x:{ACCOUNT}:\n")
    (etc / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
    for name in ("/etc/ssl/certs/ca-certificates.crt", "/etc/os-release", "/etc/ld.so.conf"):
        if Path(name).exists():
            copy(Path(name), tree)
    for conf in Path("/etc/ld.so.conf.d").glob("*.conf"):
        copy(conf, tree)
    if shutil.which("dpkg-query") is None:
        return
    for package in sorted(set(owners(copied))):
        status = subprocess.run(["dpkg-query", "--status", package], capture_output=True, text=True, check=True).stdout
        place = below(tree, f"/var/lib/dpkg/status.d/{package}")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(status)
        licence = Path(f"/usr/share/doc/{package}/copyright")
        if licence.exists():
            place = below(tree, licence)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(licence, place)


def owners(files: Iterable[Path]) -> Iterator[str]:
    """Yield the Debian packages that files came from; files of no package are skipped."""
    for file in files:
        names = {str(file), str(file.parent.resolve() / file.name), str(file.resolve())}
        names |= {name.removeprefix("/usr") for name in names}  # registered before the merge into /usr
        found = subprocess.run(["dpkg-query", "--search", *sorted(names)], capture_output=True, text=True, check=False)
        yield from re.findall(r"^([\w.+-]+)(?::\w+)?: ", found.stdout, re.MULTILINE)


def settle(tree: Path, executable: set[Path]) -> None:
    """Give everything fixed modes, owners and times."""
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    for path in [tree, *sorted(tree.rglob("*"))]:
        os.chown(path, 0, 0, follow_symlinks=False)
        if not path.is_symlink():
            runs = path.is_dir() or path in executable or path.name.startswith("ld-linux")
            path.chmod(0o755 if runs else 0o644)
        os.utime(path, (epoch, epoch), follow_symlinks=False)


if __name__ == "__main__":
    main()
