"""Who takes over what an absent therapist, or a closed room, had: a small assignment, without I/O.

What one therapist or room had never overlaps itself (the exclusion constraints see to that), so no two of its visits
compete for one substitute, and every visit that anybody can take is placed: a solver could place no more. It would only
be needed for jobs that overlap each other; for those the scarcest are placed first, and nobody is ever promised twice.
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


def assign(jobs: Sequence[Job], cost: Cost) -> dict[int, int]:
    """A candidate for each job that can have one, by the job's id: none has two jobs that overlap.

    The jobs with the fewest candidates come first, then the earliest; among candidates of equal cost the first is
    taken. The same jobs, in whatever order, give the same answer.
    """
    given: dict[int, list[Span]] = {}
    chosen: dict[int, int] = {}
    for job in sorted(jobs, key=lambda one: (len(one.candidates), one.span.lower, one.id)):
        free = [one for one in job.candidates if not any(span.overlaps(job.span) for span in given.get(one, ()))]
        if free:
            best = min(free, key=lambda one: cost(job, one, chosen))
            given.setdefault(best, []).append(job.span)
            chosen[job.id] = best
    return chosen
