"""Sagas: long-running transactions as declared steps with compensations. No distributed locks, no two-phase commit.

Source of the technique: Hector Garcia-Molina, Kenneth Salem, "Sagas", SIGMOD 1987.
"""
