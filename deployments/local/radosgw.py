"""A private S3 server: Ceph's radosgw over a one-node cluster in memory, on free loopback ports.

Chosen because its conditional PUT is atomic (one winner of many), as on AWS; OpenStack Swift's is
not, and moto accepts wrong secrets. Nothing is kept: the objects go when the processes go.
"""

import http.client
import secrets
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

PROGRAMS = ("monmaptool", "ceph-mon", "ceph", "ceph-osd", "radosgw-admin", "radosgw")
READY_LIMIT_S = 60.0
MEMORY_LIMIT_BYTES = 8 * 2**30

# Of one disposable node: no replicas, no authentication between its parts, no ports beyond loopback.
CONFIG = """[global]
fsid = {fsid}
mon host = v2:127.0.0.1:{mon_port}/0
mon initial members = a
auth cluster required = none
auth service required = none
auth client required = none
auth allow insecure global id reclaim = true
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
mon allow pool size one = true
mon warn on pool no redundancy = false
osd crush chooseleaf type = 0
run dir = {folder}/run
admin socket = {folder}/run/$name.$pid.asok
log file = {folder}/log/$name.log
pid file =
mon data = {folder}/mon
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = {memory_bytes}
osd class load list = *
mon pg warn min per osd = 0
mon osd crush smoke test = false
osd max object name len = 256
osd max object namespace len = 64
rgw thread pool size = 32
ms mon client mode = crc
ms mon cluster mode = crc
ms mon service mode = crc
paxos propose interval = 0.05
mon osd cache size = 10
osd op num shards = 2
setuser match path = {folder}
"""


@dataclass(frozen=True)
class S3Server:
    """Where a running server listens, and the one user that it knows."""

    endpoint: str
    """http://127.0.0.1:<port>"""
    access_key: str
    secret_key: str = field(repr=False)


def missing_programs() -> tuple[str, ...]:
    """The programs that `start` needs and this machine lacks; empty: it can start."""
    return tuple(program for program in PROGRAMS if shutil.which(program) is None)


@contextmanager
def start(folder: Path) -> Iterator[S3Server]:
    """A server that answers, until the block ends; its processes are killed, also after an error.

    Args:
        folder: empty or absent; holds configuration and logs. Keep its path below 80 characters,
            the limit of the sockets in it.

    Raises:
        RuntimeError: a program is missing, ends early, or the server is not ready in 60 s; with
            the end of its log.
    """
    if missing := missing_programs():
        raise RuntimeError(f"missing {', '.join(missing)}: run deployments/local/install.sh")
    mon_port, s3_port = _free_ports(2)
    server = S3Server(f"http://127.0.0.1:{s3_port}", "refit", secrets.token_hex(16))
    with ExitStack() as stack:
        cluster = _Cluster(folder.absolute(), stack)
        cluster.configure(mon_port)
        cluster.start_storage(mon_port)
        cluster.start_gateway(server, s3_port)
        yield server


@dataclass(frozen=True)
class _Cluster:
    """The processes of one server; `processes` kills them when it closes."""

    folder: Path
    processes: ExitStack

    def configure(self, mon_port: int) -> None:
        for name in ("mon", "osd", "rgw", "run", "log"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        config = CONFIG.format(
            fsid=uuid.uuid4(),
            folder=self.folder,
            mon_port=mon_port,
            memory_bytes=MEMORY_LIMIT_BYTES,
        )
        (self.folder / "ceph.conf").write_text(config, encoding="utf-8")

    def start_storage(self, mon_port: int) -> None:
        monmap = str(self.folder / "monmap")
        address = f"[v2:127.0.0.1:{mon_port}]"
        self._run("monmaptool", "--create", "--addv", "a", address, monmap)
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap)
        self._spawn("ceph-mon", "-i", "a", "-f")
        osd = str(uuid.uuid4())
        self._run("ceph", "osd", "new", osd)
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self._spawn("ceph-osd", "-i", "0", "-f")

    def start_gateway(self, server: S3Server, port: int) -> None:
        keys = (f"--access-key={server.access_key}", f"--secret-key={server.secret_key}")
        self._run("radosgw-admin", "user", "create", "--uid=refit", "--display-name=refit", *keys)
        gateway = self._spawn(
            "radosgw", "-f", "-n", "client.rgw", "--auth_client_required=none",
            "--ms_mon_client_mode=crc", f"--rgw-data={self.folder / 'rgw'}",
            f"--rgw-frontends=beast endpoint=127.0.0.1:{port} tcp_nodelay=1",
        )  # fmt: skip
        deadline = time.monotonic() + READY_LIMIT_S
        while not _answers(port):
            if gateway.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"radosgw does not answer on port {port}: {self._log_tail()}")
            time.sleep(0.05)

    def _run(self, program: str, *arguments: str) -> None:
        with self._log(program) as log:
            try:
                subprocess.run(
                    self._command(program, arguments), stdin=subprocess.DEVNULL, stdout=log,
                    stderr=log, timeout=READY_LIMIT_S, check=True,
                )  # fmt: skip
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as exc:
                # Not chained, not printed: the command line may hold the secret key.
                what = type(exc).__name__
                raise RuntimeError(f"{program} failed ({what}): {self._log_tail()}") from None

    def _spawn(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        # A killed parent must not leave servers behind.
        leash = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
        with self._log(program) as log:
            process = subprocess.Popen(
                (*leash, *self._command(program, arguments)), stdin=subprocess.DEVNULL,
                stdout=log, stderr=log,
            )  # fmt: skip
        # SIGKILL: a graceful stop can take two minutes, and nothing here is worth keeping.
        self.processes.callback(process.wait)
        self.processes.callback(process.kill)
        return process

    def _command(self, program: str, arguments: Sequence[str]) -> tuple[str, ...]:
        return (program, "-c", str(self.folder / "ceph.conf"), *arguments)

    def _log(self, program: str) -> BinaryIO:
        return (self.folder / "log" / f"{program}.out").open("ab")

    def _log_tail(self) -> str:
        logs = sorted((self.folder / "log").glob("*.out"), key=lambda path: path.stat().st_mtime)
        text = "".join(path.read_text(errors="replace") for path in logs)
        return text[-1000:] or f"see {self.folder / 'log'}"


def _free_ports(num_ports: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(num_ports)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status < 500
    except OSError:
        return False
    finally:
        connection.close()
