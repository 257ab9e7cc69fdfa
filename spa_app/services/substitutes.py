"""Who takes over what an absent therapist, or a closed room, had: a small assignment, without I/O.

What one therapist or room had overlaps itself only where guests came together (the exclusion constraints see to that),
so otherwise no two of its visits compete for one substitute, and every visit that anybody can take is placed: a solver
could place no more. Of jobs that overlap each other the scarcest are placed first, and nobody is ever promised twice,
but for a room that the guests of those jobs may share.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spa_app.services.availability import Span


@dataclass(frozen=True, slots=True)
class Job:
    """A stretch that needs somebody else. ``candidates``: who is free for all of it, in the order of the screen."""

    id: int
    span: Span
    candidates: tuple[int, ...]


# How badly a candidate suits a job, once others are given away (job id → candidate). The lowest is taken.
Cost = Callable[[Job, int, Mapping[int, int]], Any]
# Whether a candidate can have a job beside those, which overlap it.
Shares = Callable[[int, Job, Sequence[Job]], bool]


def assign(jobs: Sequence[Job], cost: Cost, *, shares: Shares = lambda _one, _job, _others: False) -> dict[int, int]:
    """A candidate for each job that can have one, by the job's id: none has two that overlap, unless it ``shares``.

    The jobs with the fewest candidates come first, then the earliest; among candidates of equal cost the first is
    taken. The same jobs, in whatever order, give the same answer.
    """
    given: dict[int, list[Job]] = {}

    def has_time(one: int, job: Job) -> bool:
        met = [other for other in given.get(one, ()) if other.span.overlaps(job.span)]
        return not met or shares(one, job, met)

    chosen: dict[int, int] = {}
    for job in sorted(jobs, key=lambda one: (len(one.candidates), one.span.lower, one.id)):
        free = [one for one in job.candidates if has_time(one, job)]
        if free:
            best = min(free, key=lambda one: cost(job, one, chosen))
            given.setdefault(best, []).append(job)
            chosen[job.id] = best
    return chosen
