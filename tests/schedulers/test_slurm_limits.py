"""The limits on queued jobs that accounting shows, and how many places they leave."""

import getpass
from collections.abc import Sequence

import pytest

from unetsweep.core.spec import Resources
from unetsweep.schedulers.slurm import commands, limits, parse, scheduler
from unetsweep.schedulers.slurm.limits import Limit, Queued, parse_queued, remaining, submit_limits

ME = getpass.getuser()
QOS = "normal||||\nms||3||\nboss|OverPartQOS|2||\npart||5|4|9\nshared||||6"
PARTITIONS = "PartitionName=main Default=YES QoS=N/A\nPartitionName=gpu Default=NO QoS=part"


def asks(associations: str, **answers: str):
    """A function that answers commands, and the list of the commands that were asked."""
    asked: list[Sequence[str]] = []
    texts = {
        limits.ASSOCIATIONS: associations.replace("ME", ME),
        limits.QOS: QOS,
        limits.PARTITIONS: PARTITIONS,
        limits.DEFAULT_ACCOUNT: f"{ME}|lab",
        parse.SHOW_CONFIG: "ClusterName = c1",
    }

    def ask(command: Sequence[str]) -> str:
        asked.append(command)
        return texts[tuple(command)]

    return ask, asked


LAB = "c1|lab||||||||\nc1|lab|ME||||ms,normal,boss,shared|7|"
CASES = [
    pytest.param(LAB, {}, [Limit(7, "lab")], id="the user's association"),
    pytest.param(LAB, {"qos": "ms"}, [Limit(3, None, "ms")], id="a QOS comes before the association"),
    pytest.param(LAB, {"qos": "MS"}, [Limit(3, None, "ms")], id="a QOS in capitals"),
    pytest.param(
        LAB.replace("||||ms,normal,boss,shared", "|||ms|ms,normal"), {}, [Limit(3, None, "ms")], id="the default QOS"
    ),
    pytest.param(LAB.replace("ms,normal,boss,shared", "ms"), {}, [Limit(3, None, "ms")], id="the only QOS"),
    pytest.param(LAB.replace("|7|", "||"), {}, [], id="no limit"),
    pytest.param(
        LAB,
        {"qos": "ms", "partition": "gpu"},
        [Limit(5, None, None, "gpu"), Limit(4, "lab", None, "gpu"), Limit(9, None, None, "gpu")],
        id="the partition's QOS comes first",
    ),
    pytest.param(
        LAB,
        {"qos": "boss", "partition": "gpu"},
        [Limit(2, None, "boss"), Limit(4, "lab", None, "gpu"), Limit(9, None, None, "gpu")],
        id="unless the job's QOS has the flag OverPartQOS",
    ),
    pytest.param(LAB, {"qos": "shared"}, [Limit(7, "lab"), Limit(6, None, "shared")], id="of a QOS, for all users"),
    pytest.param(
        "c1|root|||||||\nc1|all|||root||||20\nc1|lab|||all||||8\nc1|lab|ME||||normal|7|",
        {},
        [Limit(7, "lab"), Limit(8, "lab"), Limit(20, "lab")],
        id="of the account and of those above it, for all users",
    ),
    pytest.param(
        "c1|lab|ME||||normal|7|\nc1|poor|ME||||normal|2|", {"account": "poor"}, [Limit(2, "poor")], id="the account"
    ),
    pytest.param("c1|poor|ME||||normal|2|\nc1|lab|ME||||normal|7|", {}, [Limit(7, "lab")], id="the default account"),
    pytest.param(
        "c1|lab|ME||||normal||\nc1|lab|ME|gpu|||normal|1|",
        {"partition": "gpu"},
        [Limit(5, None, None, "gpu"), Limit(4, "lab", None, "gpu"), Limit(9, None, None, "gpu")],
        id="an association for a partition, after its QOS",
    ),
    pytest.param("c1|lab|ME|main|||normal|1|\nc1|lab|ME||||normal||", {}, [Limit(1, "lab")], id="for the default one"),
    pytest.param("c2|lab|ME||||normal|1|\nc1|lab|ME||||normal||", {}, [], id="another cluster's limit does not count"),
    pytest.param("c2|lab|ME||||normal||\nc1|lab|ME||||normal|1|", {}, [Limit(1, "lab")], id="this cluster's does"),
    pytest.param("c1|lab|eve||||normal|1|", {}, [], id="another user's limit does not count"),
    pytest.param("welcome to c1\n\nc1|lab|ME||||normal|1|", {}, [Limit(1, "lab")], id="lines of a wrapper"),
]


@pytest.mark.parametrize(("associations", "resources", "expected"), CASES)
def test_the_limits_on_the_jobs_of_a_sweep(associations: str, resources: dict[str, str], expected: list[Limit]):
    ask, _ = asks(associations)
    assert submit_limits(Resources(**resources), ask) == expected


def test_commands_whose_answer_cannot_matter_are_not_run():
    ask, asked = asks("c1|lab|ME||||normal|7|")
    submit_limits(Resources(account="lab"), ask)
    assert asked == [limits.ASSOCIATIONS, limits.QOS, limits.PARTITIONS]


def test_limits_are_asked_once_a_minute_for_each_request_and_the_queue_each_time(monkeypatch: pytest.MonkeyPatch):
    ask, asked = asks("c1|lab|ME||||normal|7|")
    queues, now = iter([[], [Queued("lab", "normal", ("main",))] * 3, [], []]), [100.0]
    monkeypatch.setattr(commands, "ask", lambda command, _: ask(command))
    monkeypatch.setattr(commands, "query", lambda *_: next(queues))
    monkeypatch.setattr(scheduler.time, "monotonic", lambda: now[0])
    slurm, lab = scheduler.Slurm(lambda _: pytest.fail("nothing is submitted")), Resources(account="lab")
    assert [slurm.remaining_submissions(lab), slurm.remaining_submissions(lab)] == [7, 4]
    assert asked.count(limits.ASSOCIATIONS) == 1
    now[0] += scheduler.LIMITS_S
    slurm.remaining_submissions(lab)
    assert asked.count(limits.ASSOCIATIONS) == 2
    slurm.remaining_submissions(Resources(account="lab", partition="gpu"))
    assert asked.count(limits.ASSOCIATIONS) == 3


def test_each_limit_counts_its_own_jobs():
    queued = [Queued("lab", "ms", ("main",)), Queued("lab", "normal", ("main", "gpu")), Queued("poor", "ms", ("main",))]
    assert [
        Limit(3).remaining(queued),
        Limit(3, account="lab").remaining(queued),
        Limit(3, qos="ms").remaining(queued),
        Limit(3, partition="gpu").remaining(queued),
        Limit(1, qos="ms").remaining(queued),
    ] == [0, 1, 1, 2, 0]
    assert remaining([Limit(3), Limit(9)], queued) == 0
    assert remaining([], queued) is None


def test_a_job_that_is_completing_no_longer_counts():
    row = "unetsweep|lab|ms|main|{}|unetsweep\n".format
    text = row("RUNNING") + row("COMPLETING") + "slurm: warning\n" + row("PENDING")
    assert parse_queued(text) == [Queued("lab", "ms", ("main",))] * 2
