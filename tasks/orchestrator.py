"""What is known about the Prefect server in use."""


def describe_api() -> str:
    """Where Prefect runs; raises where a named server does not answer.

    Raises:
        ConnectionError: PREFECT_API_URL names a server that is not healthy.
    """
    from prefect.client.orchestration import get_client
    from prefect.settings import get_current_settings

    url = get_current_settings().api.url
    if not url:
        return "a temporary server in this process (PREFECT_API_URL is not set)"
    with get_client(sync_client=True) as client:
        if (problem := client.api_healthcheck()) is not None:
            raise ConnectionError(f"{url} does not answer: {problem}")
    return f"{url} answers"
