"""Says which addresses can only be reached from this machine: the one fact that server and clients share on safety."""

from __future__ import annotations

import ipaddress

NO_PROXY = ("grpc.enable_http_proxy", 0)
"""A channel's option: gRPC sends even what is for a loopback address through the environment's `http_proxy`."""


def is_loopback(host: str) -> bool:
    """Whether `host` is "localhost" or a loopback address as a number, such as 127.0.0.1 or ::1, in brackets or not.

    Every other name is not, wherever it leads today: names are resolved anew by whoever uses them.
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False
