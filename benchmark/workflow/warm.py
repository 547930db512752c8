"""A process that has imported everything, from which runs fork: at the smoke scale imports cost more than many a training.

The workflow starts it and holds its standard input; when the workflow ends, however it does, the runs are stopped as by a signal and
the server goes. A run that finds no server, or one of another Python, starts by itself, so that nothing depends on one. So does the
first one, and only the second makes the server import: a workflow without runs, or with one, pays nothing.
"""

import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from benchmark.pins.code import ROOT

ADDRESS = "SPIKELEDGER_WARM"  # environment variable with the server's socket
PRELOADED = ("timm.data", "timm.data.random_erasing", "timm.optim", "timm.scheduler", "benchmark.training.run")
FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
BUSY = 64  # connections that may wait


def address() -> Path:
    """A socket of this process's own; in the temporary folder, since a socket's path must be short."""
    return Path(tempfile.gettempdir()) / f"spikeledger-{os.getuid()}-{os.getpid()}.sock"


def start(path: Path) -> subprocess.Popen:
    """The server, which lives as long as its standard input: until this process ends or closes it."""
    command = [sys.executable, "-m", "benchmark", "warm", "--socket", str(path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    _servers.append(subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, env=environment, **quiet))
    return _servers[-1]


_servers: list = []


# ---- a run's side


def ask(words: list[str]) -> int | None:
    """The exit status of `python -m benchmark <words>` run by the server; None if there is none that can."""
    path = os.environ.get(ADDRESS)
    if not path or not hasattr(socket, "send_fds") or not ours(path):
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(path)
            request = {"python": python(), "words": words, "cwd": os.getcwd(), "environment": dict(os.environ)}
            socket.send_fds(connection, [json.dumps(request).encode() + b"\n"], [1, 2])
            answer = connection.makefile("r")
            number = int(answer.readline())
        except (OSError, ValueError):
            return None
        for each in FORWARDED:
            signal.signal(each, lambda received, _: stop(number, received))
        return int(answer.readline() or 1)


def ours(path: str) -> bool:
    """True if the socket is there and this user's: the environment is handed to whoever listens."""
    return os.path.exists(path) and os.stat(path).st_uid == os.getuid()


def stop(number: int, received: int = signal.SIGTERM) -> None:
    """Hand a signal on to a child, which may have ended meanwhile."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(number, received)


def python() -> list[str]:
    """What client and server must share."""
    return [sys.executable, sys.version, str(ROOT)]


# ---- the server's side


def serve(path: Path, main: Callable[[list[str]], int]) -> None:
    """Fork a child that runs `main` for each request until standard input ends; then stop the children and wait for them."""
    try:
        Server(path, main).run()
    finally:
        path.unlink(missing_ok=True)


def preload() -> None:
    """Import what every run imports. No tensor operation that would start threads: they do not survive a fork."""
    for name in PRELOADED:
        importlib.import_module(name)
    import torch

    torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)  # its first construction imports seconds of torch
    gc.freeze()


class Server:
    """Children by their process number, each with the connection that waits for its status."""

    def __init__(self, path: Path, main: Callable[[list[str]], int]):
        self.main = main
        self.children: dict[int, socket.socket] = {}
        self.requests, self.stopping = 0, False
        self.selector = selectors.DefaultSelector()
        path.unlink(missing_ok=True)  # of a killed process with this one's number
        before = os.umask(0o177)  # for this user alone
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(path))
        os.umask(before)
        self.listener.listen(BUSY)
        self.woken, self.waker = socket.socketpair()
        self.waker.setblocking(False)
        signal.set_wakeup_fd(self.waker.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for source, action in ((self.listener, self.accept), (self.woken, self.reap), (sys.stdin, self.end)):
            self.selector.register(source, selectors.EVENT_READ, action)

    def run(self) -> None:
        while not (self.stopping and not self.children):
            for key, _ in self.selector.select():
                key.data(key.fileobj)

    def accept(self, _) -> None:
        """Fork for a request; the first client, and one of another Python, is left to itself."""
        connection, _ = self.listener.accept()
        request, handles = received(connection)
        self.requests += 1
        if self.requests == 2:
            preload()
        if self.requests == 1 or request.get("python") != python():
            connection.close()
        elif number := os.fork():
            send(connection, number)
            self.children[number] = connection
            self.selector.register(connection, selectors.EVENT_READ, lambda _: self.left(number))
        else:
            self.forget()
            become(self.main, request, handles)
        for handle in handles:
            os.close(handle)

    def forget(self) -> None:
        """In a child: nothing of the server's is its own."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for each in (self.selector, self.listener, self.woken, self.waker, *self.children.values()):
            each.close()

    def left(self, number: int) -> None:
        """The client is gone: its run stops as by a signal."""
        self.selector.unregister(self.children[number])
        stop(number)

    def reap(self, woken) -> None:
        """Tell each client whose child has ended its status."""
        woken.recv(4096)
        while self.children:
            number, status = os.waitpid(-1, os.WNOHANG)
            if not number:
                return
            connection = self.children.pop(number)
            if connection.fileno() in self.selector.get_map():
                self.selector.unregister(connection)
            with connection:
                code = os.waitstatus_to_exitcode(status)
                send(connection, code if code >= 0 else 128 - code)  # ended by signal n: 128 + n, as shells say it

    def end(self, source) -> None:
        """The workflow is gone: no more requests, and the children stop."""
        if source.buffer.read1():
            return
        self.stopping = True
        for each in (source, self.listener):
            self.selector.unregister(each)
        self.listener.close()
        for number in self.children:
            stop(number)


def received(connection: socket.socket) -> tuple[dict, list[int]]:
    """A client's request, one line of JSON, and its output handles; nothing of a client that is gone."""
    text, handles, *_ = socket.recv_fds(connection, 2**20, 2)
    while text and not text.endswith(b"\n"):
        more = connection.recv(2**20)
        if not more:
            return {}, handles
        text += more
    return json.loads(text or "{}"), handles


def send(connection: socket.socket, number: int) -> None:
    """A number as a line; the client may be gone."""
    with contextlib.suppress(OSError):
        connection.sendall(f"{number}\n".encode())


def become(main: Callable[[list[str]], int], request: dict, handles: list[int]) -> None:
    """In a child: the command of a request, with its output, folder and environment. Does not return."""
    status = 1
    try:
        for handle, own in zip(handles, (1, 2), strict=True):
            os.dup2(handle, own)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["environment"])
        os.environ.pop(ADDRESS, None)
        status = main(request["words"])
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    except BaseException:  # noqa: BLE001  (a child must end here, with what any Python would print)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
