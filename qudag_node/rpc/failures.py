"""Failed authentications, counted per address over a minute. Time is an argument."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict, deque

__all__ = ["FailureLimiter", "network_of"]

_WINDOW_S = 60.0
# One entry holds at most `limit` times; the oldest address is forgotten for a new one.
_MAX_ADDRESSES = 4_096


class FailureLimiter:
    """Refuses an address after ``limit`` failures within a minute."""

    def __init__(self, limit: int, *, max_addresses: int = _MAX_ADDRESSES) -> None:
        self._limit = limit
        self._max_addresses = max_addresses
        self._times_by_address: OrderedDict[str, deque[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._times_by_address)

    def failed(self, address: str, now_mono_s: float) -> None:
        """Count one failure of an address."""
        key = network_of(address)
        times = self._times_by_address.setdefault(key, deque(maxlen=self._limit))
        times.append(now_mono_s)
        self._times_by_address.move_to_end(key)
        while len(self._times_by_address) > self._max_addresses:
            self._times_by_address.popitem(last=False)

    def refuses(self, address: str, now_mono_s: float) -> bool:
        """Tell whether the address has to wait."""
        times = self._times_by_address.get(network_of(address))
        return times is not None and len(times) == self._limit and now_mono_s - times[0] < _WINDOW_S


def network_of(address: str) -> str:
    """Return what counts as one address: an IPv6 host owns its whole /64."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
