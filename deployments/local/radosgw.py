"""A private S3 server: Ceph's radosgw over a one-node cluster in memory, on free loopback ports.

Chosen because its conditional PUT is atomic (one winner of many), as on AWS; OpenStack Swift's is
not, and moto accepts wrong secrets. Nothing is kept: the objects go when the processes go.
"""

import json
import secrets
import shutil
import signal
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deployments.local.processes import Child, Processes, StartError, answers, free_ports

PROGRAMS = ("monmaptool", "ceph-mon", "ceph", "ceph-osd", "radosgw-admin", "radosgw")
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
    folder: Path
    """Of its configuration."""


def missing_programs() -> tuple[str, ...]:
    """The programs that `start` needs and this machine lacks; empty: it can start."""
    return tuple(program for program in PROGRAMS if shutil.which(program) is None)


def start(folder: Path, processes: Processes) -> S3Server:
    """A server that answers, until `processes` close.

    Args:
        folder: empty or absent; holds configuration and logs. Keep its path below 80 characters,
            the limit of the sockets in it.
        processes: where its programs are held.

    Raises:
        StartError: a program is missing, ends early, or the server is not ready in time; with the
            end of its log.
    """
    if missing := missing_programs():
        raise StartError(f"missing {', '.join(missing)}: run deployments/local/install.sh")
    mon_port, s3_port = free_ports(2)
    server = S3Server(
        f"http://127.0.0.1:{s3_port}", "refit", secrets.token_hex(16), folder.absolute()
    )
    cluster = _Cluster(server.folder, processes)
    cluster.configure(mon_port)
    cluster.start_storage(mon_port)
    cluster.start_gateway(server, s3_port)
    return server


def add_user(server: S3Server, name: str, processes: Processes) -> S3Server:
    """The same server for another user, who has no rights in the first one's buckets yet."""
    other = S3Server(server.endpoint, name, secrets.token_hex(16), server.folder)
    _Cluster(server.folder, processes).add_user(other)
    return other


@dataclass(frozen=True)
class _Cluster:
    """The programs of one server."""

    folder: Path
    processes: Processes

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
        self._start("ceph-mon", "-i", "a", "-f")
        osd = str(uuid.uuid4())
        self._run("ceph", "osd", "new", osd)
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self._start("ceph-osd", "-i", "0", "-f")

    def add_user(self, server: S3Server) -> None:
        """By a file that only this user can read: a command line is everybody's to read."""
        name = server.access_key
        key = {"user": name, "access_key": name, "secret_key": server.secret_key}
        known = {"user_id": name, "display_name": name, "email": "", "suspended": 0, "type": "rgw"}
        more = {"max_buckets": 1000, "op_mask": "read, write, delete", "subusers": [], "caps": []}
        user = {
            "key": f"user:{name}",
            "ver": {"tag": name, "ver": 1},
            "mtime": "2026-01-01T00:00:00.000000Z",
            "data": {**known, **more, "keys": [key], "swift_keys": []},
        }
        file = self.folder / "user.json"
        file.touch(0o600)
        file.write_text(json.dumps(user), "utf-8")
        self._run("radosgw-admin", "metadata", "put", f"user:{name}", f"--infile={file}")
        file.unlink()

    def start_gateway(self, server: S3Server, port: int) -> None:
        self.add_user(server)
        gateway = self._start(
            "radosgw", "-f", "-n", "client.rgw", "--auth_client_required=none",
            "--ms_mon_client_mode=crc", f"--rgw-data={self.folder / 'rgw'}",
            f"--rgw-frontends=beast endpoint=127.0.0.1:{port} tcp_nodelay=1",
        )  # fmt: skip
        self.processes.wait_ready(gateway, lambda: answers(port))

    def _run(self, program: str, *arguments: str) -> None:
        self.processes.run(program, self._command(program, arguments))

    def _start(self, program: str, *arguments: str) -> Child:
        # SIGKILL: a graceful stop can take two minutes, and nothing here is worth keeping.
        return self.processes.start(
            program, self._command(program, arguments), stop_signal=signal.SIGKILL
        )

    def _command(self, program: str, arguments: Sequence[str]) -> tuple[str, ...]:
        return (program, "-c", str(self.folder / "ceph.conf"), *arguments)
