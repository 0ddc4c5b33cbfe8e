"""The one error of the lab, and waiting that always ends."""

import time


class LabError(Exception):
    """What the lab could not do, in words for the person who ran it."""


def wait_until(ready, limit, complaint, pause=0.05):
    """Calls `ready` until it returns something true, which is returned; after `limit` seconds raises `complaint()`."""
    deadline = time.monotonic() + limit
    while True:
        outcome = ready()
        if outcome:
            return outcome
        if time.monotonic() > deadline:
            raise LabError(complaint())
        time.sleep(pause)
