"""Why a job waits: a known reason becomes a sentence, an unknown one stays as it is."""

import pytest

from unetsweep.core.reasons import DESCRIPTIONS, describe_reason, is_held, is_impossible


@pytest.mark.parametrize("word", sorted(DESCRIPTIONS))
def test_a_known_reason_is_one_line_that_ends_with_slurms_own_word(word: str):
    text = describe_reason(word)
    assert text == f"{DESCRIPTIONS[word]} ({word})"
    assert len(text) <= 160
    assert "\n" not in text


@pytest.mark.parametrize("word", ["PENDING", "PhaseOfTheMoon", "MaxTemperature", "QOSMaxGlee", "QOS", ""])
def test_an_unknown_reason_stays_as_it_is(word: str):
    assert describe_reason(word) == word


@pytest.mark.parametrize(
    ("word", "part"),
    [
        ("QOSMaxSubmitJobPerUserLimit", "QOS limit MaxSubmitJobs: no more jobs may be queued now"),
        ("AssocMaxSubmitJobLimit", "Assoc limit MaxSubmitJobs: "),
        ("AssocGrpSubmitJobsLimit", "Assoc limit GrpSubmitJobs: "),
        ("MaxSubmitJobsPerAccount", "account limit MaxSubmitJobs: "),
        ("AssocMaxJobsLimit", "Assoc limit MaxJobs: no more jobs may run now"),
        ("QOSGrpJobsLimit", "QOS limit GrpJobs: "),
        ("MaxJobsPerAccount", "account limit MaxJobs: "),
        ("AssocGrpGRES", "your account allows all jobs together no more GPUs (GRES) now"),
        ("AssocGrpCpuLimit", "your account allows all jobs together no more CPUs now"),
        ("QOSGrpNodeLimit", "the QOS allows all jobs together no more nodes now"),
        ("QOSMaxGRESPerUser", "the QOS allows one user no more GPUs (GRES) now"),
        ("QOSMaxMemoryPerUser", "the QOS allows one user no more memory now"),
        ("MaxGRESPerAccount", "one account no more GPUs (GRES) now"),
        ("QOSMaxCpuPerJobLimit", "requests more CPUs than the QOS allows per job: lower it"),
        ("AssocMaxMemPerNode", "requests more memory than your account allows per node of a job"),
        ("QOSMaxWallDurationPerJobLimit", "requests more time than the QOS allows per job: lower it"),
        ("QOSMaxCpuMinutesPerJobLimit", "requests more CPUs x time than the QOS allows per job"),
        ("AssocGrpCPUMinutesLimit", "your account has used up its CPUs x time"),
        ("QOSGrpGRESRunMinutes", "the QOS allows all jobs together no more GPUs (GRES) now"),
        ("QOSMinGRES", "the QOS requires more GPUs (GRES) per job"),
        ("QOSMinCpuNotSatisfied", "the QOS requires more CPUs per job"),
    ],
)
def test_a_limit_is_explained_from_the_parts_of_its_name(word: str, part: str):
    assert part in describe_reason(word)
    assert describe_reason(word).endswith(f" ({word})")


def test_a_reason_is_recognised_despite_details_and_underscores():
    assert describe_reason("(ReqNodeNotAvail, UnavailableNodes:n4)").startswith("the nodes that it needs are down")
    assert describe_reason("(ReqNodeNotAvail, UnavailableNodes:n4)").endswith(" (ReqNodeNotAvail, UnavailableNodes:n4)")
    long = "Nodes_required_for_job_are_DOWN,_DRAINED_or_reserved_for_jobs_in_higher_priority_partitions"
    assert describe_reason(long).startswith("the nodes that it needs are down")
    assert describe_reason("launch_failed_requeued_held") == describe_reason("launch failed requeued held").replace(
        "(launch failed requeued held)", "(launch_failed_requeued_held)"
    )


def test_every_pending_reason_of_the_newest_slurm_is_explained():
    """The reasons of job_state_reason.c (25.x) that belong to no family of limits."""
    single = "PowerNotAvail PowerReserved ReservationInvalid ReservationDeleted Constraints FedJobLock MaxMemPerLimit"
    assert [word for word in single.split() if describe_reason(word) == word] == []


def test_a_job_never_starts_only_for_reasons_that_do_not_end_by_themselves():
    held = {reason for reason in DESCRIPTIONS if is_held(reason)}
    impossible = {reason for reason in DESCRIPTIONS if is_impossible(reason)}
    assert not held & impossible
    waiting = "None Priority Resources BeginTime Dependency PartitionConfig PartitionDown PartitionInactive NodeDown"
    assert not (held | impossible) & {*waiting.split(), "ReqNodeNotAvail", "AssociationTimeLimit", "QOSJobLimit"}
    for limit in ("AssocMaxWallDurationPerJobLimit", "QOSMaxMemoryPerNode", "QOSMinGRES", "(PartitionTimeLimit)"):
        assert is_impossible(limit)
    for limit in ("AssocMaxJobsLimit", "QOSMaxGRESPerUser", "AssocGrpCpuLimit", "QOSGrpMemLimit", "MaxJobsPerAccount"):
        assert not is_impossible(limit)
