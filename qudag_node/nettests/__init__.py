"""Network tests that can be believed: ping, traceroute, bandwidth, latency, routing, stress, connectivity.

The node negotiates, worker processes measure. Nothing is imported here: a worker pays for every module.
"""
