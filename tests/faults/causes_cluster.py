"""Faults that a cluster causes: failed nodes, preemption, requeue, cancellation."""

from kinds import fault
from scene import Scene


@fault("slurmd killed", trials=2, epochs=90, seconds=60)
def slurmd(scene: Scene) -> None:
    """SLURM finds the node down after 10 s; the old processes still run beside the job that replaces them."""
    scene.control(seconds=0.5)
    scene.submit()
    fact = scene.victim(3)
    scene.bed.kill(f"slurmd-{fact['node']}")
    _replaced(scene, fact["run"])


@fault("node set down, its processes keep running", trials=2, epochs=70, seconds=60)
def node_down(scene: Scene) -> None:
    scene.control(seconds=0.5)
    scene.submit()
    fact = scene.victim(3)
    scene.bed.kill(f"slurmd-{fact['node']}")  # nothing is left that could end its processes
    scene.bed.run("scontrol", "update", f"nodename={fact['node']}", "state=down", "reason=fault")
    _replaced(scene, fact["run"])


def _replaced(scene: Scene, run: str) -> None:
    """Wait for another start of the run while the process of the first one lives."""
    scene.wait(lambda: scene.starts(run) > 1 or scene.ended(), "it is started again")
    scene.caused += scene.starts(run) > 1


@fault("node set down")
def node_down_cleanly(scene: Scene) -> None:
    scene.submit()
    scene.bed.run("scontrol", "update", f"nodename={scene.victim()['node']}", "state=down", "reason=fault")
    scene.caused += 1


@fault("requeued by an administrator", seconds=50)
def requeued(scene: Scene) -> None:
    scene.submit()
    scene.bed.run("scontrol", "requeue", scene.job_of(scene.victim()))
    scene.caused += 1


@fault("preempted by a higher partition", shape={"slurm": ", partition: scavenge"}, seconds=50)
def preempted(scene: Scene) -> None:
    scene.submit()
    scene.victim()
    script = scene.folder / "higher.sh"
    script.write_text("#!/bin/bash\nsleep 3\n")
    scene.bed.run("sbatch", "-p", "main", "-N4", "--exclusive", "-o", "/dev/null", str(script))
    scene.caused += 1


@fault("scancel of a job")
def scancel_job(scene: Scene) -> None:
    scene.submit()
    fact = scene.victim()
    scene.bed.run("scancel", scene.job_of(fact))
    scene.expect("cancelled", fact["run"])
    scene.caused += 1


@fault("scancel of an array", trials=4)
def scancel_array(scene: Scene) -> None:
    scene.submit()
    array = scene.job_of(scene.victim()).partition("_")[0]
    finished = {fact["run"] for fact in scene.facts("publish")}
    scene.bed.run("scancel", array)
    scene.expect("cancelled", *({f"{trial:04d}" for trial in range(scene.trials)} - finished))
    scene.caused += 1


@fault("scancel of one pending element", trials=4, epochs=12)
def scancel_pending(scene: Scene) -> None:
    scene.submit()
    scene.wait_epochs(1)
    waiting = [job for job in scene.bed.queue("%i", "-t", "PD") if "_" in job]
    last = max(int(job.split("_")[1]) for job in waiting)
    scene.bed.run("scancel", next(job for job in waiting if job.endswith(f"_{last}")))
    scene.expect("cancelled", f"{last:04d}")  # in the first array of a grid, element k is run k
    scene.caused += 1
