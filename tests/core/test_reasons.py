"""Why a job waits: a known reason becomes a sentence, an unknown one stays as it is."""

import pytest

from unetsweep.core.reasons import WORDS, in_words


@pytest.mark.parametrize("word", sorted(WORDS))
def test_a_known_reason_is_one_line_that_ends_with_slurms_own_word(word: str):
    text = in_words(word)
    assert text == f"{WORDS[word]} ({word})"
    assert len(text) <= 160
    assert "\n" not in text


@pytest.mark.parametrize("word", ["PENDING", "PhaseOfTheMoon", "MaxTemperature", "QOSMaxGlee", "QOS", ""])
def test_an_unknown_reason_stays_as_it_is(word: str):
    assert in_words(word) == word


@pytest.mark.parametrize(
    ("word", "part"),
    [
        ("QOSMaxSubmitJobPerUserLimit", "QOS limit MaxSubmitJobs: as many jobs are queued as may"),
        ("AssocMaxSubmitJobLimit", "Assoc limit MaxSubmitJobs: "),
        ("AssocGrpSubmitJobsLimit", "Assoc limit GrpSubmitJobs: "),
        ("MaxSubmitJobsPerAccount", "account limit MaxSubmitJobs: "),
        ("AssocMaxJobsLimit", "Assoc limit MaxJobs: as many jobs run as may"),
        ("QOSGrpJobsLimit", "QOS limit GrpJobs: "),
        ("MaxJobsPerAccount", "account limit MaxJobs: "),
        ("AssocGrpGRES", "your account gives all jobs together no more GPUs (GRES) now"),
        ("AssocGrpCpuLimit", "your account gives all jobs together no more CPUs now"),
        ("QOSGrpNodeLimit", "the QOS gives all jobs together no more nodes now"),
        ("QOSMaxGRESPerUser", "the QOS gives one user no more GPUs (GRES) now"),
        ("QOSMaxMemoryPerUser", "the QOS gives one user no more memory now"),
        ("MaxGRESPerAccount", "one account no more GPUs (GRES) now"),
        ("QOSMaxCpuPerJobLimit", "asks for more CPUs than the QOS gives a job: lower it"),
        ("AssocMaxMemPerNode", "asks for more memory than your account gives a node of a job"),
        ("QOSMaxWallDurationPerJobLimit", "asks for more time than the QOS gives a job: lower it"),
        ("QOSMaxCpuMinutesPerJobLimit", "asks for more CPUs x time than the QOS gives a job"),
        ("AssocGrpCPUMinutesLimit", "your account has used up its CPUs x time"),
        ("QOSGrpGRESRunMinutes", "the QOS gives all jobs together no more GPUs (GRES) now"),
        ("QOSMinGRES", "asks for less GPUs (GRES) than the QOS wants of a job"),
        ("QOSMinCpuNotSatisfied", "asks for less CPUs than the QOS wants of a job"),
    ],
)
def test_a_limit_is_explained_from_the_parts_of_its_name(word: str, part: str):
    assert part in in_words(word)
    assert in_words(word).endswith(f" ({word})")


def test_a_reason_is_recognised_despite_details_and_underscores():
    assert in_words("(ReqNodeNotAvail, UnavailableNodes:n4)").startswith("the nodes that it needs are down")
    assert in_words("(ReqNodeNotAvail, UnavailableNodes:n4)").endswith(" (ReqNodeNotAvail, UnavailableNodes:n4)")
    long = "Nodes_required_for_job_are_DOWN,_DRAINED_or_reserved_for_jobs_in_higher_priority_partitions"
    assert in_words(long).startswith("the nodes that it needs are down")
    assert in_words("launch_failed_requeued_held") == in_words("launch failed requeued held").replace(
        "(launch failed requeued held)", "(launch_failed_requeued_held)"
    )


def test_every_pending_reason_of_the_newest_slurm_is_explained():
    """The reasons of job_state_reason.c (25.x) that belong to no family of limits."""
    single = "PowerNotAvail PowerReserved ReservationInvalid ReservationDeleted Constraints FedJobLock MaxMemPerLimit"
    assert [word for word in single.split() if in_words(word) == word] == []
