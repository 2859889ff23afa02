"""The process that measures: one for each job, started by the node, ended with it.

It is started anew for every job, so it must be cheap to start: no asyncio, numpy, cryptography or
overlay here.
"""
