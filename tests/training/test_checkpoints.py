"""The files of a training: only the owner of the run writes them, whole, and checkpoints can be read back."""

from pathlib import Path

import pytest
import torch
import training_scenes

from unetsweep.errors import StateError
from unetsweep.training.checkpoints import ArtifactWriter, BestEpoch, OwnedCheckpointIO, load_unet
from unetsweep.training.unet import UNet


def owner(out: Path, owns: bool = True) -> ArtifactWriter:
    (out / "checkpoints").mkdir(exist_ok=True)
    return ArtifactWriter(out, "1-0", lambda: owns)


def test_a_training_that_lost_its_run_renames_links_and_removes_nothing(tmp_path: Path) -> None:
    owner(tmp_path).publish("checkpoints/candidate-1.ckpt", lambda f: f.write(b"theirs"))
    lost = owner(tmp_path, owns=False)
    lost.publish("checkpoints/candidate-1.ckpt", lambda f: f.write(b"ours"))
    lost.link("checkpoints/candidate-1.ckpt", "checkpoints/best-1.ckpt")
    lost.delete_stale(None)
    lost.append("progress-1-0.jsonl", "line")
    OwnedCheckpointIO(lost).save_checkpoint({}, tmp_path / "checkpoints/last.ckpt")
    assert lost.lost
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["candidate-1.ckpt"]
    assert (tmp_path / "checkpoints/candidate-1.ckpt").read_bytes() == b"theirs"


def test_ownership_is_checked_when_the_temporary_file_is_complete(tmp_path: Path) -> None:
    files: list[list[str]] = []

    def owns() -> bool:
        files.append([path.name for path in tmp_path.iterdir()])
        return True

    artifacts = ArtifactWriter(tmp_path, "2-1", owns)
    artifacts.publish("a.json", lambda f: f.write(b"{}"))
    assert files == [["a.json.2-1.tmp"]]
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    artifacts = owner(tmp_path)
    artifacts.publish("a.json", lambda f: f.write(b"old"))

    def fail(stream: object) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        artifacts.publish("a.json", fail)
    assert (tmp_path / "a.json").read_bytes() == b"old"
    assert not list(tmp_path.glob("*.tmp"))


def test_a_second_link_replaces_the_first_candidate(tmp_path: Path) -> None:
    artifacts = owner(tmp_path)
    for n in (1, 2):
        artifacts.publish(f"checkpoints/candidate-{n}.ckpt", lambda f, n=n: f.write(b"%d" % n))
        for _ in range(2):
            artifacts.link(f"checkpoints/candidate-{n}.ckpt", "checkpoints/best-5.ckpt")
            assert (tmp_path / "checkpoints/best-5.ckpt").read_bytes() == b"%d" % n
    (tmp_path / "checkpoints/x.9-9.tmp").touch()
    artifacts.delete_stale(BestEpoch(2, 0.5, 0.1))
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["best-5.ckpt", "candidate-2.ckpt"]
    with pytest.raises(StateError, match=r"candidate-7\.ckpt, the best checkpoint so far, is missing"):
        artifacts.link("checkpoints/candidate-7.ckpt", "checkpoints/best-5.ckpt")


def test_a_checkpoint_restores_network_config_and_scores(tmp_path: Path) -> None:
    config = training_scenes.config(tmp_path, learning_rate=0.5)
    unet = UNet(config.model).eval()
    owner(tmp_path).save_weights("checkpoints/a.ckpt", unet.state_dict(), config, BestEpoch(3, 0.5, 0.25))
    random_state = torch.get_rng_state()
    again, its_config, best = load_unet(tmp_path / "checkpoints/a.ckpt")
    assert torch.equal(random_state, torch.get_rng_state())
    assert (its_config, best) == (config, BestEpoch(3, 0.5, 0.25))
    image = torch.rand(1, 3, 32, 32)
    assert torch.equal(unet(image), again(image))


def test_a_file_that_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.ckpt").write_bytes(b"nothing")
    torch.save({"weights": {}}, tmp_path / "b.ckpt")
    messages = {"a": "is not a checkpoint of an unetsweep U-Net", "b": "it has no config, epoch", "c": "does not exist"}
    for name, message in messages.items():
        with pytest.raises(StateError, match=rf"{name}\.ckpt.*{message}"):
            load_unet(tmp_path / f"{name}.ckpt")
