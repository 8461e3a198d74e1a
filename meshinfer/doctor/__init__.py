"""What is wrong on this machine or between it and its peers, and what to type.

Observations come in as values, findings go out: each check is a pure function in a file of its own, and
`checks.py` lists them. What looks at the world is in `observing.py` and the files called `probe_…`.
"""
