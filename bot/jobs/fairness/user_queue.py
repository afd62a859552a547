"""One user's queued jobs, with running sums of what is ahead of each."""

from __future__ import annotations

from array import array
from bisect import bisect_left

import numpy as np


class UserQueue:
    """One user's waiting jobs in order of acceptance, with running sums of their cost.

    `bounds[i] - bounds[0]` is the cost of all jobs before job i. `bounds[0]` may be any number, so a job can leave or
    return at the front without changing the rest.
    """

    __slots__ = ("bounds", "job_ids")

    def __init__(self) -> None:
        self.job_ids = array("q")
        self.bounds = array("q", [0])

    def __len__(self) -> int:
        return len(self.job_ids)

    def index(self, job_id: int) -> int:
        return bisect_left(self.job_ids, job_id)

    def insert(self, job_id: int, cost: int) -> None:
        index = self.index(job_id)
        self.job_ids.insert(index, job_id)
        if index == 0:
            self.bounds.insert(0, self.bounds[0] - cost)
        else:
            self.bounds.insert(index, self.bounds[index])
            self._shift(index + 1, cost)

    def remove(self, job_id: int) -> None:
        index = self.index(job_id)
        cost = self.bounds[index + 1] - self.bounds[index]
        del self.job_ids[index], self.bounds[index]
        if index > 0:
            self._shift(index, -cost)

    def cost_of_first(self, count: int) -> int:
        return self.bounds[count] - self.bounds[0]

    def _shift(self, index: int, cost: int) -> None:
        np.frombuffer(self.bounds, dtype=np.int64)[index:] += cost
