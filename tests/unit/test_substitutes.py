"""Who takes over: against a twin that tries every way of giving the jobs away."""

import datetime as dt
import itertools

from hypothesis import event, given
from hypothesis import strategies as st

from spa_app.services.availability import Span
from spa_app.services.substitutes import Job, assign

ZERO = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)


def span(lower: int, length: int) -> Span:
    """A stretch in minutes of the small world."""
    return Span(ZERO + dt.timedelta(minutes=lower), ZERO + dt.timedelta(minutes=lower + length))


def cost(job, one, chosen):
    """Balance: who has the fewest jobs so far."""
    return sum(who == one for who in chosen.values())


def most_placed(jobs: list[Job]) -> int:
    """How many can be placed at the most, by trying everything."""
    best = 0
    for choice in itertools.product(*((None, *job.candidates) for job in jobs)):
        given_away = [(one, job.span) for one, job in zip(choice, jobs, strict=True) if one is not None]
        if not clashes(given_away):
            best = max(best, len(given_away))
    return best


def clashes(given_away: list[tuple[int, Span]]) -> bool:
    return any(
        one == other and span.overlaps(another)
        for (one, span), (other, another) in itertools.combinations(given_away, 2)
    )


candidates = st.lists(st.integers(1, 4), max_size=4, unique=True).map(tuple)
anywhere = st.lists(st.tuples(st.integers(0, 90), st.integers(5, 60), candidates), max_size=5).map(
    lambda some: [Job(number, span(begins, length), who) for number, (begins, length, who) in enumerate(some)]
)


@st.composite
def of_one_therapist(draw):
    """Jobs as one therapist has them: one after the other."""
    jobs, at = [], 0
    for number in range(draw(st.integers(0, 6))):
        at += draw(st.integers(0, 20))
        length = draw(st.integers(5, 60))
        jobs.append(Job(number, span(at, length), draw(candidates)))
        at += length
    return draw(st.permutations(jobs))


@given(of_one_therapist())
def test_all_that_one_therapist_had_is_placed_as_well_as_can_be(jobs):
    assert len(assign(jobs, cost)) == most_placed(jobs)


@given(anywhere)
def test_nobody_is_promised_twice_whatever_the_jobs(jobs):
    chosen = assign(jobs, cost)

    by_id = {job.id: job for job in jobs}
    assert all(one in by_id[job_id].candidates for job_id, one in chosen.items())
    assert not clashes([(one, by_id[job_id].span) for job_id, one in chosen.items()])
    event("as many as can be" if len(chosen) == most_placed(jobs) else "fewer than could be")


@given(anywhere, st.randoms())
def test_the_order_of_the_jobs_does_not_matter(jobs, random):
    shuffled = list(jobs)
    random.shuffle(shuffled)

    assert assign(shuffled, cost) == assign(jobs, cost)


def test_the_scarcest_come_first_and_the_cheapest_is_taken():
    both, only_first = Job(1, span(0, 60), (1, 2)), Job(2, span(30, 60), (1,))

    assert assign([both, only_first], cost) == {1: 2, 2: 1}
    assert assign([Job(1, span(0, 30), (1, 2)), Job(2, span(30, 30), (1, 2))], cost) == {1: 1, 2: 2}
