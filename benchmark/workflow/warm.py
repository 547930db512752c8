"""A process that has imported everything, from which runs fork: at the smoke scale imports cost more than many a training.

The workflow starts it and holds its standard input; when the workflow ends, however it does, the runs are stopped as by a signal and
the server goes. A run that finds no server, or one of another Python, starts by itself, and goes on by itself if the server dies: nothing
depends on one. So does the first run, and only the second makes the server import: a workflow without runs, or with one, pays nothing.

The server reads nothing that a client sends: it forks, and the child reads. So no client can hurt it or keep it waiting. Its socket has a
name and no file (Linux's abstract namespace), so that whatever is killed leaves none behind.
"""

import contextlib
import gc
import importlib
import json
import os
import select
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmark.pins.code import ROOT

ADDRESS = "SPIKELEDGER_WARM"  # environment variable with the name of the server's socket
INSIDE = "inside"  # its value in a run that the server has forked
PRELOADED = ("timm.data", "timm.data.random_erasing", "timm.optim", "timm.scheduler", "benchmark.training.run")
FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
BUSY = 64  # connections that may wait
PATIENCE = 5.0  # seconds that a client may say nothing
KEYS = {"python", "words", "cwd", "environment"}  # of a request
LONGEST = 2**23  # bytes of one


def address() -> str:
    """The name of a socket of this process's own."""
    return f"spikeledger-{os.getuid()}-{os.getpid()}"


def start(name: str, log: Path) -> subprocess.Popen:
    """The server, which lives as long as its standard input: until this process ends or closes it. What it says goes to `log`."""
    command = [sys.executable, "-m", "benchmark", "warm", "--socket", name]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as told:
        handles = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": told}
        _servers.append(subprocess.Popen(command, start_new_session=True, env=environment, **handles))
    return _servers[-1]


_servers: list = []


# ---- a run's side


def ask(words: list[str]) -> int | None:
    """The exit status of `python -m benchmark <words>` run by the server; None if there is none that can, or it died on the way."""
    with contextlib.suppress(OSError, ValueError), connected(os.environ.get(ADDRESS)) as connection:
        request = {"python": python(), "words": words, "cwd": os.getcwd(), "environment": dict(os.environ)}
        socket.send_fds(connection, [json.dumps(request).encode() + b"\n"], [1, 2])
        answer = connection.makefile("r")
        number = int(answer.readline())  # of the process that runs it, or why there is none
        with forwarding(number) as received:
            said = answer.readline()  # nothing: the server is gone, and so is by now the run, its checkpoint written
        if not said:
            print("the warm process is gone: going on without it", file=sys.stderr)
        return int(said) if said else 128 + received[0] if received else None
    return None


@contextlib.contextmanager
def connected(name: str | None) -> Iterator[socket.socket]:
    """A connection to this user's server: the environment is handed to whoever listens. OSError if there is none."""
    if name in (None, "", INSIDE) or sys.platform != "linux":
        raise OSError("no server")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(f"\0{name}")
        if peer(connection) != os.getuid():
            raise OSError("another user's server")
        yield connection


def inside() -> bool:
    """Whether this process is a fork of the server, whose client waits for it."""
    return os.environ.get(ADDRESS) == INSIDE


def peer(connection: socket.socket) -> int:
    """The user at the other end."""
    size = struct.calcsize("3i")
    return struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[1]


@contextlib.contextmanager
def forwarding(number: int) -> Iterator[list[int]]:
    """Signals to this process go on to process `number`; gives the list of those that came."""
    received: list[int] = []

    def hand_on(signum, _):
        received.append(signum)
        stop(number, signum)

    before = {each: signal.signal(each, hand_on) for each in FORWARDED}
    try:
        yield received
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def stop(number: int, received: int = signal.SIGTERM) -> None:
    """Hand a signal on to a child, which may have ended meanwhile."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(number, received)


def python() -> list[str]:
    """What client and server must share."""
    return [sys.executable, sys.version, str(ROOT)]


# ---- the server's side


def serve(name: str, main: Callable[[list[str]], int]) -> None:
    """Fork a child that runs `main` for each request until standard input ends; then stop the children and wait for them."""
    Server(name, main).run()


def preload() -> None:
    """Import what every run imports. No tensor operation that would start threads: they do not survive a fork."""
    for name in PRELOADED:
        importlib.import_module(name)
    import torch

    torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)  # its first construction imports seconds of torch
    gc.freeze()


class Server:
    """Children by their process number, each with the connection that waits for its status."""

    def __init__(self, name: str, main: Callable[[list[str]], int]):
        self.main = main
        self.children: dict[int, socket.socket] = {}
        self.clients, self.stopping = 0, False
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(f"\0{name}")
        self.listener.listen(BUSY)
        self.lifeline, self.held = os.pipe()  # its end tells children that the server is gone, however it went
        self.woken, self.waker = socket.socketpair()
        self.waker.setblocking(False)
        signal.set_wakeup_fd(self.waker.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.selector = selectors.DefaultSelector()
        for source, action in ((self.listener, self.accept), (self.woken, self.reap), (sys.stdin, self.end)):
            self.selector.register(source, selectors.EVENT_READ, action)

    def run(self) -> None:
        while not (self.stopping and not self.children):
            for key, _ in self.selector.select():
                key.data(key.fileobj)

    def accept(self, _) -> None:
        """Fork for a client of this user; the first is left to itself."""
        connection, _ = self.listener.accept()
        if peer(connection) != os.getuid():
            return connection.close()
        self.clients += 1
        if self.clients == 1:
            return connection.close()
        if self.clients == 2:
            preload()
        if number := os.fork():
            self.children[number] = connection
        else:
            self.forget()
            answer(connection, self.lifeline, self.main)

    def forget(self) -> None:
        """In a child: nothing of the server's is its own but the lifeline."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for each in (self.selector, self.listener, self.woken, self.waker, *self.children.values()):
            each.close()
        os.close(self.held)

    def reap(self, woken) -> None:
        """Tell each client whose child has ended its status."""
        woken.recv(4096)
        while self.children:
            number, status = os.waitpid(-1, os.WNOHANG)
            if not number:
                return
            with self.children.pop(number) as connection:
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


# ---- a child's side


def answer(connection: socket.socket, lifeline: int, main: Callable[[list[str]], int]) -> None:
    """In a child: run what the client asks for, or say why not, to it and in a line of the server's log. Does not return."""
    try:
        request, handles = received(connection)
    except Exception as error:
        said = f"refused: {' '.join(str(error).split()) or type(error).__name__}"
        print(said, file=sys.stderr, flush=True)
        send(connection, said)
        os._exit(1)
    threading.Thread(target=watch, args=(connection, lifeline), daemon=True).start()
    send(connection, os.getpid())
    become(main, request, handles)


def received(connection: socket.socket) -> tuple[dict, list[int]]:
    """A client's request, one line of JSON, and its two output handles. ValueError: another thing; TimeoutError: silence."""
    connection.settimeout(PATIENCE)
    text, handles, *_ = socket.recv_fds(connection, LONGEST, 2)
    while text and not text.endswith(b"\n") and len(text) < LONGEST:
        more = connection.recv(LONGEST)
        text = more and text + more
    connection.settimeout(None)
    request = json.loads(text)
    if not isinstance(request, dict) or request.keys() != KEYS or len(handles) != 2:
        raise ValueError("not a request")
    if request["python"] != python():
        raise ValueError(f"a request of another Python, {request['python']}")
    return request, handles


def watch(connection: socket.socket, lifeline: int) -> None:
    """Stop this process as by a signal once its client or the server is gone. Nothing more comes from either: readable means ended."""
    select.select([connection, lifeline], [], [])
    os.kill(os.getpid(), signal.SIGTERM)


def send(connection: socket.socket, word: int | str) -> None:
    """A word as a line; the client may be gone."""
    with contextlib.suppress(OSError):
        connection.sendall(f"{word}\n".encode())


def become(main: Callable[[list[str]], int], request: dict, handles: list[int]) -> None:
    """In a child: the command of a request, with its output, folder and environment. Does not return."""
    status = 1
    try:
        for handle, own in zip(handles, (1, 2), strict=True):
            os.dup2(handle, own)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["environment"])
        os.environ[ADDRESS] = INSIDE
        status = main(request["words"])
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    except BaseException:  # noqa: BLE001  (a child must end here, with what any Python would print)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
