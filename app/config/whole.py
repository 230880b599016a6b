"""The whole document: its tables in the contract's order, and what one of them needs of another.

Here dangling names, doubled keys and a default callback URL that its own client may not use are found.
"""

from __future__ import annotations

from app.config.model import AdminConfig, ClientConfig, Config
from app.config.secret_value import SecretReader
from app.config.section import (
    read_account,
    read_admin,
    read_callbacks,
    read_campaign,
    read_client,
    read_redis,
    read_server,
    read_storage,
    read_worker,
)
from app.config.table import Faults, Table


def read_whole(document: dict[str, object], faults: Faults, secrets: SecretReader) -> Config:
    """The configuration, of worth only if `faults` is empty afterwards."""
    with Table(document, "", faults) as root:
        server = read_server(root.table("server"))
        worker = read_worker(root.table("worker"), secrets.env)
        redis = read_redis(root.table("redis"), secrets.env)
        with root.table("provider") as provider:
            accounts = {
                name: read_account(name, table, secrets) for name, table in provider.named("accounts")
            }
        campaigns = {name: read_campaign(name, table, accounts) for name, table in root.named("campaigns")}
        clients = {
            name: read_client(name, table, campaigns, secrets) for name, table in root.named("clients")
        }
        callbacks = read_callbacks(root.table("callbacks"), secrets.base)
        storage = read_storage(root.table("storage"), secrets)
        admin = read_admin(root.table("admin"))
    _check_keys_differ(clients, admin, faults)
    for client in clients.values():
        _check_default_callback(client, faults)
    return Config(
        server=server,
        worker=worker,
        redis=redis,
        accounts=accounts,
        campaigns=campaigns,
        clients=clients,
        callbacks=callbacks,
        storage=storage,
        admin=admin,
    )


def _check_keys_differ(clients: dict[str, ClientConfig], admin: AdminConfig, faults: Faults) -> None:
    owners: dict[bytes, str] = {}
    holders = {f"clients.{name}": client.api_keys for name, client in clients.items()} | {
        "admin": admin.api_keys
    }
    for holder, digests in holders.items():
        for digest in digests:
            first = owners.setdefault(digest, holder)
            if first is not holder or digests.count(digest) > 1:
                faults.add(
                    f"{holder}.api_keys", f"a key that stands in {first}.api_keys too", "keys of its own"
                )
                break


def _check_default_callback(client: ClientConfig, faults: Faults) -> None:
    url = client.callback_url
    if url is None or any(entry.matches_url(url) for entry in client.callback_allow):
        return
    faults.add(
        f"clients.{client.name}.callback_url",
        "a URL that no entry of callback_allow covers",
        "one whose scheme, host and port callback_allow has",
    )
