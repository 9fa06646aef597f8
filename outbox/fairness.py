"""Fairness between keys: with consumers that ask for it, calls for different customers take turns. Pure.

Each delivery gets a turn when it is published: one more than the last turn of its key, and no less than the lowest that
waits, so that a key that was quiet joins in where the others are. Claims go by turn: all keys' next messages, then all
second next ones. Ten thousand messages of one key take turns n to n + 10 000; another's single one takes turn n, and
goes after one message of each. Claiming costs the same however many keys there are; consumers that are not fair by keys
neither look at turns nor have entries in their index. Two that publish for one key at the same time may get the same
turn, which does no harm. Source of the technique: start-time fair queueing, Goyal, Vin and Cheng, SIGCOMM 1996.
"""

from outbox.context import current
from outbox.contracts import Message


def by_actor(_message: Message) -> str:
    """Be fair between those in whose name messages are sent, such as customers: what follows keeps the actor."""
    return current().actor
