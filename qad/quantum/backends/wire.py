"""The connection of Qiskit Runtime's client: no submission is repeated by it, and one that was taken is known to be."""

from __future__ import annotations

from typing import Any


class Wire:
    """Watches the connections of a ``QiskitRuntimeService``.

    taken   the service said yes to a job since this was last set to False, whatever then became of its answer

    The client repeats a POST that ends in a 5xx; but a gateway may say 504 for a job that was taken. Here no POST is repeated:
    who submits looks for the tag first.
    """

    def __init__(self, service: Any) -> None:
        self.taken = False
        for session in _sessions(service):
            session.hooks["response"].append(self._note)
            for adapter in session.adapters.values():
                adapter.max_retries = _without_posts(adapter.max_retries)

    def _note(self, response: Any, *_: Any, **__: Any) -> None:
        path = str(response.request.path_url).partition("?")[0]
        self.taken |= bool(response.request.method == "POST" and response.ok and path.endswith("/jobs"))


def _sessions(service: Any) -> list[Any]:
    clients = [service._active_api_client, *service._api_clients.values()]
    return list({id(client): client._session for client in clients}.values())


def _without_posts(retry: Any) -> Any:
    class Asking(type(retry)):  # type: ignore[misc]
        def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:
            return method.upper() != "POST" and bool(super().is_retry(method, status_code, has_retry_after))

    return Asking(total=retry.total, connect=retry.connect, backoff_factor=retry.backoff_factor,
                  status_forcelist=retry.status_forcelist)
