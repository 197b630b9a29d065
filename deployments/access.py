"""Doors that are open to anybody: asked as a stranger would ask, of servers that others can reach."""

import ipaddress
import socket
import urllib.request
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

from tasks.place import Place

TIMEOUT_S = 5.0


class Door(NamedTuple):
    """A service in use, and how to find out whether it asks for a password."""

    service: str
    address: str
    question: str
    """Address of something that only its users may know."""
    mend: str

    @property
    def is_open(self) -> bool:
        """Whether the question is answered without a password; who is away lets nobody in."""
        try:
            with urllib.request.urlopen(self.question, timeout=TIMEOUT_S) as answer:
                return bool(answer.status == 200)
        except (OSError, ValueError):  # refused, also by 401 and 403
            return False

    @property
    def is_near(self) -> bool:
        """Whether only this machine's own users can reach it."""
        try:
            found = socket.getaddrinfo(urlsplit(self.address).hostname, None)
        except OSError:
            return False
        hosts = {str(info[4][0]).partition("%")[0] for info in found}
        return all(ipaddress.ip_address(host).is_loopback for host in hosts)


def open_doors(place: Place, prefect_url: str) -> list[Door]:
    """The services that others can reach, and that answer anybody."""
    return [door for door in doors(place, prefect_url) if not door.is_near and door.is_open]


def doors(place: Place, prefect_url: str) -> Iterator[Door]:
    """Each service that has an address.

    Args:
        place: names MLflow and the store.
        prefect_url: of Prefect's API; empty: a temporary one, which ends with its run.
    """
    if prefect_url:
        mend = "set PREFECT_SERVER_API_AUTH_STRING there, PREFECT_API_AUTH_STRING here"
        yield Door("prefect", prefect_url, f"{prefect_url}/admin/version", mend)
    if (mlflow := place.tracking_uri).startswith(("http://", "https://")):
        mend = "start it with --app-name basic-auth; see docs/guides/operations.md"
        question = f"{mlflow}/api/2.0/mlflow/experiments/search?max_results=1"
        yield Door("mlflow", mlflow, question, mend)
    if (s3 := place.s3_endpoint_url) and place.store_uri.startswith("s3://"):
        bucket = urlsplit(place.store_uri).netloc
        question = f"{s3}/{bucket}?list-type=2&max-keys=1"
        yield Door("store", s3, question, f"take public rights from the bucket {bucket}")
