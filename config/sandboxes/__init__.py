"""Stand-ins for the outside world: a payment provider, a carrier and one switchboard to disturb them.

Each sandbox is a process of its own that speaks only HTTP and shares no code with the applications.
"""
