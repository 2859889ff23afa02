"""STAMP, RFC 8762 with the extensions of RFC 8972: packets, times, keys, sender and reflector.

Nothing is imported here: a worker pays for every module.
"""
