"""The image's HEALTHCHECK: exit 0 if the API or the worker of this container says that it lives.

Standard library alone, and no proxy: it asks this machine only. Ports may be given where the configuration moved them.
"""

from __future__ import annotations

import http.client
import sys

API_PORT = 8080
WORKER_PORT = 9100


def lives(port: int) -> bool:
    """Whether `/livez` on this port answers 200 within two seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    ports = [int(port) for port in sys.argv[1:]] or [API_PORT, WORKER_PORT]
    sys.exit(0 if any(lives(port) for port in ports) else 1)
