"""Datasets of the hub: `hf://owner/name@commit`, and what a branch of one points to."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tasks.location import LocationError, UnreachableError

HUB_TIMEOUT_S = 10.0
FOLLOW = "follow"
"""The option that allows a revision that moves."""


@dataclass(frozen=True)
class HubPlace:
    """One split of a dataset on the hub, at one commit; or at what a branch points to, if followed."""

    dataset: str
    revision: str
    config: str | None = None
    split: str = "train"
    is_followed: bool = False

    @property
    def uri(self) -> str:
        """How a recipe writes it."""
        options = {
            "config": self.config,
            "split": self.split,
            FOLLOW: "1" if self.is_followed else None,
        }
        query = urlencode({key: value for key, value in options.items() if value})
        return f"hf://{self.dataset}@{self.revision}?{query}"

    def pinned(self) -> "HubPlace":
        """At the commit that the branch points to now.

        Raises:
            LocationError: no such dataset or revision, or none that may be read.
            UnreachableError: the hub does not answer.
        """
        return replace(self, revision=ask_hub(self), is_followed=False)


def parse_hub_uri(uri: str) -> HubPlace:
    """`hf://owner/name@commit?config=NAME&split=test` (split: train where none is given).

    With `follow=1` the revision may be a branch: each run takes the commit that it points to then.

    Raises:
        LocationError: no dataset, a revision that can move and is not followed, an unknown option.
    """
    url = urlsplit(uri)
    dataset, _, revision = f"{url.netloc}{url.path}".partition("@")
    pairs = parse_qsl(url.query, keep_blank_values=True)
    options = dict(pairs)
    problems = [f"option {key!r} does not exist; there are config, split and {FOLLOW}"
                for key in options if key not in ("config", "split", FOLLOW)]  # fmt: skip
    is_followed = options.get(FOLLOW) == "1"
    if FOLLOW in options and not is_followed:
        problems.append(
            f"{FOLLOW}={options[FOLLOW]!r} means nothing; write {FOLLOW}=1 or leave it out"
        )
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", dataset):
        problems.append(f"{dataset!r} is not a dataset's name; write hf://owner/name@commit")
    is_commit = bool(re.fullmatch("[0-9a-f]{40}", revision))
    if is_followed and (is_commit or not re.fullmatch(r"[\w.-]+(/[\w.-]+)*", revision)):
        problems.append(f"{revision!r} is no branch to follow; write e.g. @main?{FOLLOW}=1")
    if not is_followed and not is_commit:
        problems.append(
            f"the revision {revision!r} is not pinned and may change under you; append @ and the 40 "
            f"digits of a commit from https://huggingface.co/datasets/{dataset}/commits/main, or "
            f"?{FOLLOW}=1 to take what a branch points to at each run"
        )
    if problems:
        raise LocationError(f"{uri}: " + "; ".join(problems))
    split = options.get("split", "train")
    return HubPlace(dataset, revision, options.get("config"), split, is_followed)


def load_hub(place: HubPlace, label: str) -> Iterator[Mapping[str, object]]:
    """Stream one split; of a private dataset by the token in HF_TOKEN."""
    ask_hub(place)
    import datasets

    try:
        stream: Any = datasets.load_dataset(
            place.dataset, place.config, revision=place.revision, split=place.split,
            streaming=True,
        )  # fmt: skip
    except (ValueError, FileNotFoundError, datasets.exceptions.DatasetsError) as exc:
        raise LocationError(
            f"hf://{place.dataset}: {exc}; check ?config= and &split= (now "
            f"{place.config!r} and {place.split!r})"
        ) from exc
    yield from with_label_names(stream, label)


def with_label_names(stream: Any, label: str) -> Iterator[dict[str, object]]:
    """Rows of a `datasets.IterableDataset`; a label stored as a class number comes as its name."""
    names = getattr((stream.features or {}).get(label), "names", None)
    for row in stream:
        number = row.get(label)
        if names and isinstance(number, int):  # -1 is the hub's mark of a hidden label
            row[label] = names[number] if number >= 0 else None
        yield row


def ask_hub(place: HubPlace) -> str:
    """The commit of a revision, by one short request: `datasets` alone retries for minutes where
    there is no network."""
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    where = f"hf://{place.dataset}@{place.revision}"
    try:
        found = HfApi().dataset_info(place.dataset, revision=place.revision, timeout=HUB_TIMEOUT_S)
        return str(found.sha)
    except HfHubHTTPError as exc:
        status = exc.response.status_code
        if status in (401, 403, 404):
            raise LocationError(
                f"{where}: the hub answered {status}; check dataset and revision, or set HF_TOKEN "
                f"to a token that may read it"
            ) from exc
        raise UnreachableError(f"{where}: the hub answered {status}; try again later") from exc
    except (httpx2.HTTPError, OSError, OfflineModeIsEnabled) as exc:
        raise UnreachableError(
            f"{where}: the hub cannot be reached ({type(exc).__name__}); connect, or download the "
            f"dataset's files elsewhere and give their folder as data.source"
        ) from exc
