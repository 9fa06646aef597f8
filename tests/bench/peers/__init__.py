"""Other queues, as optional baselines: each drains tasks of one small UPDATE, with two workers on the same server.

installing.py makes their environments, racing.py measures them; the programs that they run are called run_NAME.
"""
