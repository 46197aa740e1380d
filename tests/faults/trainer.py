"""A trainer without torch that implements the whole contract: `python3 trainer.py {config} {out} FACTS CONTROL`.

Rule 1: its weights are a hash chain over epochs, so they show a lost or repeated epoch, or one of another config.
Rule 2: it logs what it does into FACTS, outside the sweep's directory. The judge trusts that log, not the sweep.
Rule 3: CONTROL sets how it behaves, and is read at every epoch: `{"seconds": 0.3, "every": 4}`, and for single runs
        and claims `"0001": {"hang_at": 5, "claims": ["1-0"]}`.
"""

import hashlib
import json
import os
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

MARGIN_S = 12.0
"""It stops so long before the end of its job."""
ALIVE_S = 1.0
"""Seconds between two signs of life."""


def key_of(config: dict[str, Any]) -> str:
    """A key that is equal for all trials that one training serves."""
    return json.dumps({name: config.get(name) for name in ("batch_size", "learning_rate", "seed")}, sort_keys=True)


def step(chain: str, epoch: int, key: str) -> str:
    """The weights after one more epoch."""
    return hashlib.sha256(f"{chain}|{epoch}|{key}".encode()).hexdigest()


def chain_at(epoch: int, key: str) -> str:
    """The weights after so many epochs, each trained once."""
    chain = ""
    for each in range(1, epoch + 1):
        chain = step(chain, each, key)
    return chain


def iou_of(chain: str) -> float:
    """The score of such weights, which no other weights have."""
    return int(chain[:12], 16) / 16**12


@dataclass
class Trainer:
    """One start of a training."""

    config: dict[str, Any]
    out: Path
    facts: Path
    control: Path
    key: str = ""
    claim: str = ""
    milestones: list[int] = field(default_factory=list)
    epoch: int = 0
    chain: str = ""
    deadline: float = float("inf")
    ballast: bytearray = field(default_factory=bytearray)

    def run(self) -> None:
        self.key = key_of(self.config)
        self.claim = os.environ.get("UNETSWEEP_CLAIM") or "{}-{}".format(*max(self.claims()))
        milestones = os.environ.get("UNETSWEEP_MILESTONES") or str(self.config["epochs"])
        self.milestones = sorted(int(epochs) for epochs in milestones.split(","))
        self.deadline = float(os.environ.get("UNETSWEEP_DEADLINE") or "inf")
        self.resume()
        self.fact("start")
        threading.Thread(target=self.log_alive, daemon=True).start()
        print(f"{self.out.name} continues from epoch {self.epoch}", flush=True)
        while self.epoch < self.milestones[-1]:
            self.train_epoch()
            reason = self.pruned() or self.late()
            if reason:
                self.leave(reason)
        self.leave("done")

    def log_alive(self) -> None:
        """Log a sign of life now and then, even in a hang, so that overlaps are measured to their end."""
        while True:
            time.sleep(ALIVE_S)
            self.fact("alive")

    def resume(self) -> None:
        """Continue from the newest readable checkpoint: a full disk or a dead node leaves a corrupt one."""
        for name in ("checkpoint.json", "checkpoint.before.json"):
            try:
                found = json.loads((self.out / name).read_bytes())
            except (FileNotFoundError, ValueError):
                continue
            self.epoch, self.chain = found["epoch"], found["chain"]
            return

    def train_epoch(self) -> None:
        begin, wanted = time.time(), self.wanted()
        self.misbehave(wanted)
        time.sleep(wanted.get("seconds", 0.3))
        self.leave_if_lost()
        self.epoch += 1
        self.chain = step(self.chain, self.epoch, self.key)
        self.fact("epoch")
        self.progress(time.time() - begin)
        if self.epoch in self.milestones:
            self.publish()
        if self.epoch % wanted.get("every", 4) == 0 or self.epoch in self.milestones:
            self.checkpoint()

    def misbehave(self, wanted: dict[str, Any]) -> None:
        at = self.epoch + 1
        if wanted.get("allocate_mb") and not self.ballast:
            self.ballast = bytearray(os.urandom(1024) * 1024 * int(wanted["allocate_mb"]))
            time.sleep(5)  # SLURM samples the memory every 2 s
        if at == wanted.get("hang_at"):
            self.fact("hang")
            time.sleep(600)
        if at == wanted.get("raise_at"):
            self.fact("raise")
            raise SystemExit(f"no vessels in epoch {at}")
        if at == wanted.get("diverge_at"):
            self.publish("diverged")
            self.leave("diverged")

    def wanted(self) -> dict[str, Any]:
        """The behaviour that CONTROL sets for this claim of this run."""
        try:
            control: dict[str, Any] = json.loads(self.control.read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        mine = control.get(self.out.name, {})
        if "claims" in mine and self.claim not in mine["claims"]:
            mine = {}
        return {**{k: v for k, v in control.items() if not isinstance(v, dict)}, **mine}

    def progress(self, seconds: float) -> None:
        line = {
            "epoch": self.epoch,
            "train_loss": 1 / self.epoch,
            "val_iou": iou_of(self.chain),
            "val_loss": 1 / self.epoch,
            "learning_rate": self.config["learning_rate"],
            "seconds": seconds,
            "at": datetime.now(UTC).isoformat(),
            "schema": 1,
        }
        append(self.out / f"progress-{self.claim}.jsonl", line)

    def publish(self, state: str = "complete") -> None:
        path = self.out / "milestones" / f"{self.epoch if state == 'complete' else self.milestones[-1]}.json"
        if path.exists():
            return
        self.leave_if_lost()
        path.parent.mkdir(exist_ok=True)
        score = iou_of(self.chain) if state == "complete" else None
        result = {
            "state": state,
            "job_id": os.environ.get("UNETSWEEP_JOB_ID"),
            "epochs": int(path.stem),
            "epochs_run": self.epoch,
            "best_epoch": self.epoch if state == "complete" else None,
            "val_iou": score,
            "val_loss": 1 / self.epoch if state == "complete" else None,
            "versions": {"chain": self.chain, "claim": self.claim},
            "schema": 1,
        }
        self.write(path, result)
        self.fact("publish", milestone=int(path.stem))

    def checkpoint(self) -> None:
        self.leave_if_lost()
        path = self.out / "checkpoint.json"
        if path.exists():  # it gets a second name first, so that a kill leaves a readable checkpoint
            previous = self.out / f".before.{self.claim}.tmp"
            previous.unlink(missing_ok=True)
            os.link(path, previous)
            os.replace(previous, self.out / "checkpoint.before.json")
        self.write(path, {"epoch": self.epoch, "chain": self.chain})
        self.fact("checkpoint")

    def write(self, path: Path, content: dict[str, Any]) -> None:
        temporary = path.with_name(f".{path.name}.{self.claim}.tmp")
        with temporary.open("w") as stream:
            json.dump(content, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)

    def claims(self) -> list[tuple[int, int]]:
        names = [name.split("-") for name in os.listdir(self.out / "claims") if name.replace("-", "").isdecimal()]
        return [(int(attempt), int(restart)) for attempt, restart in names]

    def leave_if_lost(self) -> None:
        """Called before each write: stop if a higher claim owns the run, or the attempt was marked lost."""
        attempt, restart = map(int, self.claim.split("-"))
        lost = (self.out / "attempts" / f"{attempt}.lost.json").exists()
        if lost or max(self.claims()) != (attempt, restart):
            self.leave("superseded")

    def pruned(self) -> str | None:
        """The reason to stop if all open milestones of this attempt are pruned."""
        try:
            prune = json.loads((self.out / "prune.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        mine = str(prune["attempt"]) == self.claim.split("-")[0]
        left = [epochs for epochs in self.milestones if epochs > self.epoch and epochs not in prune["milestones"]]
        return "pruned" if mine and not left else None

    def late(self) -> str | None:
        """The reason to stop if the end of the job is near; save a checkpoint and ask for a requeue then."""
        if time.time() + MARGIN_S < self.deadline or self.epoch >= self.milestones[-1]:
            return None
        self.checkpoint()
        requeue = {"reason": "the time limit is near", "epoch": self.epoch, "at": datetime.now(UTC).isoformat()}
        self.write(self.out / f"requeue-{self.claim}.json", {"schema": 1, **requeue})
        return "requeue"

    def leave(self, reason: str) -> None:
        self.fact("leave", reason=reason)
        sys.exit(0)

    def fact(self, event: str, **more: object) -> None:
        """Log what happens now."""
        who = {"run": self.out.name, "claim": self.claim, "pid": os.getpid()}
        where = {"node": os.environ.get("SLURMD_NODENAME"), "job": os.environ.get("SLURM_JOB_ID")}
        append(self.facts, {"event": event, "epoch": self.epoch, "time": time.time(), **who, **where, **more})


def append(path: Path, content: dict[str, Any]) -> None:
    """Append one line in one write, because many processes share the log."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(fd, (json.dumps(content) + "\n").encode())
    finally:
        os.close(fd)


if __name__ == "__main__":
    config, out, facts, control = sys.argv[1:]
    Trainer(json.loads(Path(config).read_bytes()), Path(out), Path(facts), Path(control)).run()
