"""A stand-in of AICallCenter, in a process of its own: stateful, with set outcomes and faults on demand.

It imports nothing of the product but `app.message`; nothing of the product but the commands and the tests imports it.
"""
