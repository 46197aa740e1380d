"""The files between a sweep and a trainer: the smallest valid ones, and the problems of invalid ones."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetsweep import contract
from unetsweep.contract import DataConfig, ModelConfig, Result, Split, TrainerConfig, TrialConfig
from unetsweep.errors import ConfigError, StateError

SMALLEST = {"data": {"root": "data/sample"}, "epochs": 8, "batch_size": 4, "learning_rate": 0.001}


def test_the_smallest_config_has_every_default():
    config = contract.config_from(SMALLEST)
    assert config == TrialConfig(DataConfig("data/sample"), 8, 4, 0.001)
    assert config.model == ModelConfig(base=64, depth=4)


def test_a_written_config_is_read_back_equal():
    config = TrialConfig(
        DataConfig("x", Split(0.5, 3, "eye(.)"), 128, 127.5),
        8,
        4,
        1e-4,
        trainer=TrainerConfig(augment=["HorizontalFlip"]),
    )
    assert contract.config_from(json.loads(contract.dumps(contract.encode(config)))) == config


def test_whole_numbers_are_accepted_as_numbers_and_nothing_else_is_converted():
    assert contract.config_from({**SMALLEST, "learning_rate": 1}).learning_rate == 1.0
    with pytest.raises(ConfigError, match="epochs: found the text '8'; allowed: a whole number"):
        contract.config_from({**SMALLEST, "epochs": "8"})
    with pytest.raises(ConfigError, match=r"epochs: found 8\.0"):
        contract.config_from({**SMALLEST, "epochs": 8.0})
    with pytest.raises(ConfigError, match="epochs: found True"):
        contract.config_from({**SMALLEST, "epochs": True})


PROBLEMS = [
    pytest.param({"epoch": 8}, "epoch: unknown key 'epoch'; did you mean 'epochs'?", id="a typo, with a hint"),
    pytest.param(
        {"model": {"bsae": 8}}, "model.bsae: unknown key 'bsae'; did you mean 'base'?", id="a typo deep inside"
    ),
    pytest.param({"metric": "rmse"}, "metric: found 'rmse'; val_iou, val_loss, val_dice, ", id="an unknown metric"),
    pytest.param({"params": {"x": 1}}, "params: found x; only a trainer.command has parameters", id="own parameters"),
    pytest.param({"schema": 2}, "schema: found 2; this version reads 1", id="another schema, by its number"),
    pytest.param({"epochs": 0}, "epochs: found 0; 1 to 1000000", id="no epochs"),
    pytest.param({"learning_rate": 0}, "learning_rate: found 0.0; a number above 0", id="a rate of zero"),
    pytest.param(
        {"batch_size": 5, "processes": 2},
        "batch_size: found 5, which does not divide over 2 processes; use a multiple of 2",
        id="a batch that does not divide",
    ),
    pytest.param({"data": {"root": "x", "split": {"val": 1}}}, "data.split.val: found 1.0", id="nothing to train on"),
    pytest.param({"data": 3}, "data: found 3; a mapping with keys root,", id="no mapping"),
    pytest.param(
        {"trainer": {"loss": "mse"}}, "trainer.loss: found the text 'mse'; allowed: bce, bce_dice", id="a word"
    ),
]


@pytest.mark.parametrize(("change", "expected"), PROBLEMS)
def test_a_config_problem_names_the_file_the_field_the_value_and_what_is_allowed(change, expected: str):
    with pytest.raises(ConfigError) as error:
        contract.config_from({**SMALLEST, **change}, "trials/0007/config.json")
    assert f"trials/0007/config.json: {expected}" in str(error.value)


def test_all_problems_of_a_config_are_reported_at_once():
    with pytest.raises(ConfigError) as error:
        contract.config_from({"data": {"root": 1}, "epoch": 3, "batch_size": "4"})
    assert [problem.field for problem in error.value.problems] == [
        "data.root",
        "epoch",
        "batch_size",
        "epochs",
        "learning_rate",
    ]


def test_a_script_of_three_lines_can_write_a_result():
    assert contract.result_from({"val_iou": 0.5}, "result.json") == Result(val_iou=0.5)
    assert contract.result_from({"state": "diverged"}, "result.json").state == "diverged"


def test_the_result_of_a_trial_has_every_field_and_no_other_key():
    raw = contract.encode(Result(val_iou=0.5, extra={"rmse": 0.25}))
    assert contract.stored_result_from(raw, "result.json") == Result(val_iou=0.5, extra={"rmse": 0.25})
    without_loss = {key: value for key, value in raw.items() if key != "val_loss"}
    for damaged, expected in (
        ({"schema": 1}, "result.json: has no also_scored, best_epoch, checkpoint and 28 more fields, which unetsweep"),
        (without_loss, "result.json: has no val_loss, which unetsweep writes"),
        (raw | {"rmse": 0.1}, "result.json: rmse: unknown key 'rmse'"),
        (raw | {"precision": 0.1}, "precision: found 0.1; allowed: a mapping"),
        (raw | {"extra": {"rmse": {"mean": 1}}}, "extra.rmse: found a list or a mapping"),
    ):
        with pytest.raises(StateError) as error:
            contract.stored_result_from(damaged, "result.json")
        assert expected in str(error.value)


BAD_RESULTS = [
    pytest.param({"val_iou": float("nan")}, "val_iou: found nan", id="a score that is no number"),
    pytest.param({"val_iou": 0.5, "schema": 9}, "schema: found 9; this version reads 1", id="another schema"),
    pytest.param({"val_iou": "0.5"}, "val_iou: found the text '0.5'; allowed: a number, null", id="a score as text"),
    pytest.param({"state": "great", "val_iou": 0.5}, "allowed: complete, pruned, diverged", id="an unknown state"),
    pytest.param([0.5], "a mapping with keys state", id="a list"),
]


@pytest.mark.parametrize(("raw", "expected"), BAD_RESULTS)
def test_an_invalid_result_is_refused_with_its_problem(raw, expected: str):
    with pytest.raises(StateError) as error:
        contract.result_from(raw, "result.json")
    assert expected in str(error.value)


def test_further_numbers_and_texts_of_a_result_are_kept():
    raw = {"val_iou": 0.5, "rmse": 0.25, "note": "fold 3", "converged": True, "precision": 0.75}
    found = contract.result_from(raw, "result.json")
    assert found.extra == {"rmse": 0.25, "note": "fold 3", "converged": True, "precision": 0.75}
    assert found.precision == {}
    assert contract.result_from(contract.encode(found), "result.json") == found, "a stored result is read back equal"


def test_what_is_left_out_of_a_result_is_noted_and_never_an_error():
    many = {f"score{number}": number for number in range(101)}
    raw = {"history": [1, 2], "nothing": None, "long": "x" * 1001, "huge": 1e40, "k" * 101: 1, "best_epcoh": 3, **many}
    found = contract.result_from(raw, "result.json")
    assert len(found.extra) == 100
    assert found.extra["best_epcoh"] == 3
    assert contract.result_notes(raw) == [
        "history is left out: found a list or a mapping; numbers and texts are kept",
        "nothing is left out: null",
        "long is left out: a text of 1001 characters; at most 1000",
        "huge is left out: the number 1e+40 is too large",
        f"{'k' * 100} is left out: its name has 101 characters; 1 to 100 are kept",
        "best_epcoh is kept as a value of your own; did you mean 'best_epoch'?",
        "102 further values; the first 100 are kept",
    ]
    assert contract.result_notes({"val_iou": 0.5, "rmse": 1}) == []


def test_a_number_outside_json_is_never_written():
    with pytest.raises(ValueError, match="JSON compliant"):
        contract.dumps({"val_loss": float("nan")})


configs = st.builds(
    TrialConfig,
    data=st.sampled_from([DataConfig("a"), DataConfig("b")]),
    epochs=st.integers(1, 3),
    batch_size=st.integers(1, 2),
    learning_rate=st.sampled_from([1e-4, 1e-3]),
    seed=st.integers(0, 1),
    metric=st.sampled_from(["val_iou", "val_loss"]),
)


@given(configs, configs)
def test_config_ids_are_equal_exactly_when_the_configs_are(a: TrialConfig, b: TrialConfig):
    assert (contract.config_id(a) == contract.config_id(b)) == (a == b)


@given(configs, configs)
def test_run_keys_are_equal_exactly_when_configs_differ_in_epochs_only(a: TrialConfig, b: TrialConfig):
    alike = contract.encode(a) | {"epochs": 0} == contract.encode(b) | {"epochs": 0}
    assert (contract.run_key(a) == contract.run_key(b)) == alike


PINS = {"train": {"1": "a"}, "val": {"2": "b"}, "test": {"1": "c"}}
NAMED = {
    "plain": {**SMALLEST},
    "pinned": {**SMALLEST, "data": {"root": "d", "also_score_at": [0], "manifest": PINS}},
    "leaky": {**SMALLEST, "data": {"root": "d", "split": {"groups": "none", "allow_leak": True}}},
}


@pytest.mark.parametrize(
    ("name", "config_id", "run_key"),
    [
        ("plain", "488b64fcc47492cc0a0e1d1d87e9719f59c438276812be749349f9d2ced72fd3",
         "0cbbecb1a72410deb343a2ce73b6caa3604470487bd192152d7fc5360430e080"),
        ("pinned", "f8de1a739ba8c2ca00e939fc0a20024db4f79fabc8dc539f1856874de78d4299",
         "97385b7f968cbb7d9bac5837e3b67e4df1b4cde343225906724c086137f411e0"),
        ("leaky", "604e5e8a3a08863f8b2254454e40cb224ac4498ea944e33b1998877013f139e2",
         "9d1e8295582aac23fc6e8bf81b2f585dfa5f87e9b773d4c822f1612d8478f904"),
    ],
)  # fmt: skip
def test_digests_stay_what_existing_sweeps_have_on_disk(name: str, config_id: str, run_key: str):
    config = contract.config_from(NAMED[name])
    assert (contract.config_id(config), contract.run_key(config)) == (config_id, run_key)
    more = dataclasses.replace(config, trainer=dataclasses.replace(config.trainer, workers=4))
    assert (contract.config_id(more), contract.run_key(more)) == (config_id, run_key)


def test_encoding_equals_dataclasses_asdict_and_shares_nothing():
    config = contract.config_from({**SMALLEST, "trainer": {"augment": [{"name": "Rotate", "limit": [1, 2]}]}})
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, also_score_at=(96, 128)))
    encoded = contract.encode(config)
    assert encoded == dataclasses.asdict(config)
    assert encoded["data"]["also_score_at"] == (96, 128)
    encoded["trainer"]["augment"][0]["name"] = "another"
    assert config.trainer.augment[0]["name"] == "Rotate"


def test_allowing_a_leak_keeps_the_run_key_and_pinning_the_split_changes_it():
    split = {"groups": "none"}
    plain, leaky, pinned = (
        contract.config_from({**SMALLEST, "data": {"root": "d", **more}})
        for more in ({"split": split}, {"split": {**split, "allow_leak": True}}, {"split": split, "manifest": PINS})
    )
    assert contract.run_key(leaky) == contract.run_key(plain) != contract.run_key(pinned)


@pytest.mark.parametrize(
    ("part", "trainer", "message"),
    [
        pytest.param("train", {}, "data.manifest: names no image in train; leave it out to split again", id="train"),
        pytest.param("val", {"score_test": False}, "data.manifest: names no image in val", id="val"),
        pytest.param("test", {}, None, id="a set without test images"),
    ],
)
def test_a_manifest_without_images_to_train_on_is_refused(part: str, trainer, message: str | None):
    raw = {**SMALLEST, "data": {"root": "d", "manifest": {**PINS, part: {}}}, "trainer": trainer}
    if message is None:
        assert contract.config_from(raw).data.manifest == {**PINS, part: {}}
        return
    with pytest.raises(ConfigError, match=message):
        contract.config_from(raw)


def test_whether_a_program_resumes_is_not_part_of_the_digests() -> None:
    config = contract.config_from({**SMALLEST, "trainer": {"command": "train.sh"}})
    other = contract.config_from({**SMALLEST, "trainer": {"command": "train.sh", "resumes": True}})
    assert config != other
    assert contract.config_id(config) == contract.config_id(other)
    assert contract.run_key(config) == contract.run_key(other)


@pytest.mark.parametrize("name", ["val_scores", "test_scores", "also_scored", "hardware", "code", "data_manifest"])
def test_a_number_in_the_place_of_a_mapping_is_damage(name: str) -> None:
    with pytest.raises(StateError, match=name):
        contract.result_from({"val_iou": 0.5, name: 1e308}, "result.json")
