"""Moving data as fast as a path lets it, and counting it: the jobs of the bandwidth test's workers.

One job sends, the other receives; either may be the end that listens. No asyncio, numpy or overlay here.
"""
