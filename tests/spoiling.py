"""A copy of the project in which one thing at a time is spoiled, and what a command says of it.

Commands run in forks of one process that has imported the command line (and torch, once a command needs it), in the copy: the same as
by `python -m benchmark`, without its start. Those of the workflow run as they are.
"""

import contextlib
import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import traceback
from pathlib import Path

HEAVY = {"run", "surface", "pictures", "draw", "download", "network", "cache"}  # commands that load torch
LIMIT = 60  # seconds after which a command has said nothing


def snapshot(folder: Path) -> dict[str, tuple]:
    """Size and time of every file, but for what Python keeps of its own."""
    found = {}
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in ("__pycache__", ".git", ".snakemake")]
        for name in files:
            stat = os.lstat(f"{place}/{name}")
            found[f"{place}/{name}"] = (stat.st_size, stat.st_mtime_ns)
    return found


@contextlib.contextmanager
def spoiled(path: Path, how: dict):
    """The file otherwise than it was, or made, and as it was again.

    how: `write` a text, `bytes` (hex digits), `put` [old, new] in place of text that is there, `append`, `delete`, `folder` in its place.
    """
    before = path.read_bytes() if path.is_file() else None
    made = [parent for parent in path.parents if not parent.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        change(path, how, before)
        yield
    finally:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        if before is not None:
            path.write_bytes(before)
        if made:
            shutil.rmtree(made[-1])


def change(path: Path, how: dict, before: bytes | None) -> None:
    """Spoil the file."""
    if "delete" in how:
        path.unlink()
    elif "folder" in how:
        path.unlink(missing_ok=True)
        path.mkdir()
    else:
        path.write_bytes(content(how, before))


def content(how: dict, before: bytes | None) -> bytes:
    """What the file is now. ValueError: there is nothing to put something in place of."""
    if "write" in how:
        return how["write"].encode()
    if "bytes" in how:
        return bytes.fromhex(how["bytes"])
    old, new = (text.encode() for text in how.get("put", ("", how.get("append"))))
    new = new.decode().encode("latin-1") if how.get("latin") else new
    if "append" in how:
        return (before or b"") + new
    if old not in before:
        raise ValueError(f"no {old!r} to replace")
    return before.replace(old, new, 1)


def heavy(command: str) -> bool:
    """Whether a command loads torch."""
    return command.partition(" ")[0] in HEAVY


class Spoiling:
    """The copy's process: `ask` a command there while a file is spoiled."""

    def __init__(self, tree):
        self.tree, self.servers = tree, {}

    def server(self, heavy: bool) -> subprocess.Popen:
        if heavy not in self.servers:
            words = [sys.executable, __file__, *(["torch"] if heavy else [])]
            environment = {**self.tree.environment, "PYTHONPATH": str(self.tree.folder), "OMP_NUM_THREADS": "1"}
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            self.servers[heavy] = subprocess.Popen(words, cwd=self.tree.folder, env=environment, **pipes)
            self.servers[heavy].stdout.readline()  # it has read all that it needs
        return self.servers[heavy]

    def ask(self, command: str, file: str = "", how: dict | None = None) -> tuple[int, str, list[str]]:
        """Exit status, what was said on stderr, and the files that went or changed."""
        self.server(heavy(command))
        with spoiled(self.tree.folder / file, how) if how else contextlib.nullcontext():
            before = snapshot(self.tree.folder)
            status, said = self.run(command, file.endswith((".py", "equivalent_edits.csv")))
            after = snapshot(self.tree.folder)
        return status, said, [name for name, stamp in before.items() if after.get(name) != stamp]

    def run(self, command: str, anew: bool = False) -> tuple[int, str]:
        words = shlex.split(command)
        if words[:1] == ["snakemake"]:
            return self.tree.snakemake(*words[1:])
        server = self.server(heavy(command))
        server.stdin.write(json.dumps([words, anew]) + "\n")
        server.stdin.flush()
        answer = json.loads(server.stdout.readline())
        return answer["status"], answer["said"]

    def close(self) -> None:
        for server in self.servers.values():
            server.stdin.close()
            server.wait()


# ---- the copy's process


def serve() -> None:
    """Lines of [words, whether code was spoiled] in, lines of {status, said} out, each command in a fork of its own.

    Hashes of code take most of a command's time: they are made once, and again only where code was spoiled.
    """
    from benchmark.pins import code
    from benchmark.workflow import command

    if sys.argv[1:]:
        import benchmark.training.run  # noqa: F401
    with contextlib.redirect_stdout(io.StringIO()):
        command.main(["status", "table1_ldd"])
    forget(but=code)
    print("ready", flush=True)
    for line in sys.stdin:
        words, anew = json.loads(line)
        print(json.dumps(answer(command.main, words, anew)), flush=True)


def forget(but=None) -> None:
    """Empty every cache of this project's modules."""
    for name, module in list(sys.modules.items()):
        if name.startswith("benchmark") and module is not but:
            for kept in vars(module).values():
                getattr(kept, "cache_clear", lambda: None)()


def answer(main, words: list[str], anew: bool) -> dict:
    read, write = os.pipe()
    if child := os.fork():
        os.close(write)
        with os.fdopen(read) as pipe:
            said = pipe.read()
        return {"status": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), "said": said}
    os.dup2(write, 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    signal.alarm(LIMIT)
    if anew:
        forget()
    os._exit(ended(main, words))


def ended(main, words: list[str]) -> int:
    """The exit status that Python would have; a traceback is printed as Python prints it."""
    try:
        status = main(words)
    except SystemExit as error:
        status = error.code
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return status or 0


if __name__ == "__main__":
    serve()
