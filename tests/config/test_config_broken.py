"""A problem of a sweep file is reported with line, column, field, the value found and what is allowed."""

from pathlib import Path

import pytest

from unetsweep.config.load import spec_from
from unetsweep.errors import SpecError

GOOD = """\
data: {root: images}
space:
  epochs: [4, 8]
  batch_size: [4]
  learning_rate: [1e-3]
"""
RANGE = GOOD.replace("[1e-3]", "{low: 1e-4, high: 1e-2, log: true}")


def problems_of(text: str, folder: Path) -> list[str]:
    with pytest.raises(SpecError) as error:
        spec_from(text, "s.yaml", working=folder, home=folder)
    return str(error.value).splitlines()


TABLE = {
    "an unknown key, with a hint": (
        GOOD + "modle: {base: 8}\n",
        "s.yaml:6:1: modle: unknown key 'modle'; did you mean 'model'?",
    ),
    "an unknown key without a similar one": (
        GOOD + "run: {zzz: 1}\n",
        "s.yaml:6:7: run.zzz: unknown key 'zzz'; allowed are parallel, driver, retries, reconcile_interval, share, "
        "keep_checkpoints",
    ),
    "an unknown key deep inside": (
        GOOD + "run: {retries: {nod: 1}}\n",
        "s.yaml:6:17: run.retries.nod: unknown key 'nod'; did you mean 'node'?",
    ),
    "a wrong type": (
        GOOD + "model: {base: '8'}\n",
        "s.yaml:6:9: model.base: found the text '8'; allowed: a whole number",
    ),
    "a word that is not allowed": (
        GOOD + "trainer: {loss: dice}\n",
        "s.yaml:6:11: trainer.loss: found the text 'dice'; allowed: bce, bce_dice",
    ),
    "a value that the trainer refuses": (
        GOOD + "model: {depth: 9}\n",
        "s.yaml:6:9: model.depth: found 9; 1 to 7",
    ),
    "a section that is no mapping": (
        GOOD + "run: 3\n",
        "s.yaml:6:1: run: found 3; a mapping with keys parallel, driver, "
        "retries, reconcile_interval, share, keep_checkpoints is expected",
    ),
    "no data": (
        GOOD.replace("data: {root: images}\n", "model:\n"),
        "s.yaml:1:1: data.root: is missing",
    ),
    "a learning rate in quotes": (
        GOOD.replace("1e-3", "1e-3, '1e-4'"),
        "s.yaml:5:25: space.learning_rate: found the text '1e-4'; a number above 0, at most 1000000: leave "
        "out the quotes",
    ),
    "an empty axis": (
        GOOD.replace("[4, 8]", "[]"),
        "s.yaml:3:3: space.epochs: found an empty list; at least one value",
    ),
    "a missing axis": (
        GOOD.replace("  batch_size: [4]\n", ""),
        "s.yaml:2:1: space.batch_size: is missing; a list of numbers, one number, or {low, high, log, step}, or one "
        "value as trainer.batch_size",
    ),
    "a value twice": (
        GOOD.replace("1e-3", "1e-3, 0.001"),
        "s.yaml:5:25: space.learning_rate: found 0.001 twice; remove one",
    ),
    "epochs that are not whole": (
        GOOD.replace("[4, 8]", "[4, 8.5]"),
        "s.yaml:3:15: space.epochs: found 8.5; a whole number from 1 to 1000000",
    ),
    "epochs of null": (
        GOOD.replace("[4, 8]", "[4, null]"),
        "s.yaml:3:15: space.epochs: found null; a whole number from 1 to 1000000",
    ),
    "no batch": (
        GOOD.replace("batch_size: [4]", "batch_size: 0"),
        "s.yaml:4:3: space.batch_size: found 0; a whole number from 1 to 1000000",
    ),
    "a learning rate of 0": (
        GOOD.replace("1e-3", "0"),
        "s.yaml:5:19: space.learning_rate: found 0; a number above 0, at most 1000000",
    ),
    "an infinite learning rate": (
        GOOD.replace("1e-3", ".inf"),
        "s.yaml:5:19: space.learning_rate: found .inf; a finite number",
    ),
    "a number above 64 bits": (
        GOOD.replace("[4, 8]", "[99999999999999999999]"),
        "s.yaml:3:12: space.epochs: found 99999999999999999999; a whole number below 2^63",
    ),
    "an empty range": (
        RANGE.replace("low: 1e-4", "low: 1"),
        "s.yaml:5:3: space.learning_rate: found low 1 above high 0.01; low is the smaller end",
    ),
    "a log range from 0": (
        RANGE.replace("low: 1e-4", "low: 0"),
        "s.yaml:5:19: space.learning_rate.low: found 0; a number above 0, at most 1000000",
    ),
    "half a range": (
        RANGE.replace("high: 1e-2, ", ""),
        "s.yaml:5:3: space.learning_rate.high: is missing; a range is {low, high, log, step}",
    ),
    "a log that is a word": (
        RANGE.replace("log: true", "log: yes"),
        "s.yaml:5:42: space.learning_rate.log: found the text 'yes'; true or false",
    ),
    "no step": (
        RANGE.replace("log: true", "step: 0"),
        "s.yaml:5:42: space.learning_rate.step: found 0; a number above 0, at most 1000000",
    ),
    "steps in log": (
        RANGE.replace("log: true", "log: true, step: 1e-3"),
        "s.yaml:5:53: space.learning_rate.step: found step together with log: true; remove one, "
        "because equal steps are not equal on a log scale",
    ),
    "a high that the steps do not reach": (
        GOOD.replace("[4, 8]", "{low: 10, high: 45, step: 10}") + "study: {sampler: random}\n",
        "s.yaml:3:21: space.epochs.high: found 45, which steps of 10 from 10 do not reach; use 40",
    ),
    "a grid over a range": (
        RANGE,
        "s.yaml:5:3: space.learning_rate: found a range; a grid needs a list. For a range set study: {sampler: tpe}",
    ),
    "a grid with a number of trials": (
        GOOD + "study: {sampler: grid, trials: 5}\n",
        "s.yaml:6:24: study.trials: found 5; a grid has one trial per point (2 here): leave trials out",
    ),
    "an infinite search without trials": (
        RANGE + "study: {sampler: tpe}\n",
        "s.yaml:6:1: study.trials: is missing; tpe needs a number of trials, because the space is infinite",
    ),
    "brute force over an infinite space": (
        RANGE + "study: {sampler: BruteForceSampler, trials: 3}\n",
        "s.yaml:5:3: space.learning_rate: BruteForceSampler needs a list, or a range with a step",
    ),
    "no trials": (
        RANGE + "study: {sampler: tpe, trials: 0}\n",
        "s.yaml:6:23: study.trials: found 0; 1 to 100000",
    ),
    "an unknown sampler": (
        GOOD + "study: {sampler: TPE}\n",
        "s.yaml:6:9: study.sampler: found 'TPE'; did you mean 'tpe'?",
    ),
    "a sampler's class, misspelt": (
        GOOD + "study: {sampler: CmaESampler, trials: 2}\n",
        "s.yaml:6:9: study.sampler: found 'CmaESampler'; did you mean 'CmaEsSampler'?",
    ),
    "Optuna's own grid": (
        GOOD + "study: {sampler: GridSampler}\n",
        "s.yaml:6:9: study.sampler: found 'GridSampler'; use grid, which never repeats a point",
    ),
    "a sampler's argument, misspelt": (
        GOOD + "study: {sampler: {name: TPESampler, n_startup_trial: 5}}\n",
        "s.yaml:6:37: study.sampler.n_startup_trial: unknown key 'n_startup_trial'; did you mean 'n_startup_trials'?",
    ),
    "an argument of a grid": (
        GOOD + "study: {sampler: {name: grid, shuffle: true}}\n",
        "s.yaml:6:31: study.sampler.shuffle: unknown key 'shuffle'; grid takes no arguments",
    ),
    "a seed of the sampler": (
        GOOD + "study: {sampler: {name: tpe, seed: 5}}\n",
        "s.yaml:6:30: study.sampler.seed: is not an argument here; set study.seed",
    ),
    "a metric that the built-in trainer does not report": (
        GOOD + "study: {metric: rmse}\n",
        "s.yaml:6:9: study.metric: found 'rmse'; the built-in trainer reports val_iou, val_loss, val_dice, "
        "val_precision, val_sensitivity, val_iou_mean",
    ),
    "a slip in a metric": (
        GOOD + "study: {metric: val_iuo}\n",
        "s.yaml:6:9: study.metric: found 'val_iuo'; did you mean 'val_iou'?",
    ),
    "an unknown metric without a direction": (
        GOOD + "study: {metric: rmse}\ntrainer: {command: 'python t.py {config} {out}'}\n",
        "s.yaml:6:1: study.direction: is missing: it is not known whether more or less rmse is better; allowed: "
        "minimize, maximize",
    ),
    "a metric in the wrong direction": (
        GOOD + "study: {metric: val_iou, direction: minimize}\n",
        "s.yaml:6:26: study.direction: found 'minimize'; val_iou has 'maximize', so leave it out",
    ),
    "a direction that is none": (
        GOOD + "study: {direction: down}\n",
        "s.yaml:6:9: study.direction: found the text 'down'; allowed: minimize, maximize, null",
    ),
    "a metric that is no score": (
        GOOD + "study: {metric: state, direction: minimize}\ntrainer: {command: 'python t.py {config} {out}'}\n",
        "s.yaml:6:9: study.metric: found 'state', which is no score in result.json; name a number that the trainer "
        "writes there",
    ),
    "a pruner, misspelt": (
        GOOD + "study: {pruner: ahsa}\n",
        "s.yaml:6:9: study.pruner: found 'ahsa'; did you mean 'asha'?",
    ),
    "a pruner that is no name": (
        GOOD + "study: {pruner: 5}\n",
        "s.yaml:6:9: study.pruner: found 5; a name, or {name: asha, min_epochs: 4}",
    ),
    "a pruner's argument, misspelt": (
        GOOD + "study: {pruner: {name: asha, min_epoch: 4}}\n",
        "s.yaml:6:30: study.pruner.min_epoch: unknown key 'min_epoch'; did you mean 'min_epochs'?",
    ),
    "an invalid argument of a pruner": (
        GOOD + "study: {pruner: {name: hyperband, reduction_factor: 1}}\n",
        "s.yaml:6:35: study.pruner.reduction_factor: found 1; a whole number from 2 to 1000000",
    ),
    "a pruner that never prunes": (
        GOOD + "study: {pruner: {name: asha, min_epochs: 9}}\n",
        "s.yaml:6:30: study.pruner.min_epochs: found 9; the longest training has 8 epochs, so nothing would be pruned",
    ),
    "a pruner that needs a pruner": (
        GOOD + "study: {pruner: PatientPruner}\n",
        "s.yaml:6:9: study.pruner: patience is missing: {name: PatientPruner, patience: 5}",
    ),
    "a pruner for cross-validation": (
        GOOD + "study: {pruner: WilcoxonPruner}\n",
        "s.yaml:6:9: study.pruner: found 'WilcoxonPruner'; it compares folds of a cross-validation, and a training "
        "has none; use asha or median",
    ),
    "a batch that does not divide": (
        GOOD.replace("[4]", "[4, 6, 8]") + "slurm: {gpus: 4}\n",
        "s.yaml:4:19: space.batch_size: found 6, which 4 processes cannot share equally; use a multiple of 4",
    ),
    "a range of batches that do not divide": (
        GOOD.replace("[4]", "{low: 4, high: 8, step: 1}") + "slurm: {processes: 2}\nstudy: {sampler: random}\n",
        "s.yaml:4:33: space.batch_size.step: found 1; use a multiple of 2, because 2 processes share each batch",
    ),
    "more GPUs than processes": (
        GOOD + "slurm: {gpus: 4, processes: 2}\n",
        "s.yaml:6:18: slurm.processes: found 2 processes with 4 GPUs; each process uses one GPU: leave processes "
        "out, or set gpus: 0",
    ),
    "a negative number of GPUs": (
        GOOD + "slurm: {gpus: -1}\n",
        "s.yaml:6:9: slurm.gpus: found -1; 0 to 4096",
    ),
    "trainings that cannot share the GPUs": (
        GOOD + "slurm: {gpus: 4, pack: 3}\n",
        "s.yaml:6:18: slurm.pack: found 3 trainings in a job of 4 GPUs; one number must be a multiple of the other",
    ),
    "more processes than GPUs of a training": (
        GOOD + "slurm: {gpus: 4, pack: 2, processes: 4}\n",
        "s.yaml:6:27: slurm.processes: found 4 processes with 4 GPUs for 2 trainings; each process uses one GPU: leave "
        "processes out, or set gpus: 0",
    ),
    "no processes": (
        GOOD + "slurm: {processes: 0}\n",
        "s.yaml:6:9: slurm.processes: found 0; 1 to 4096",
    ),
    "a time of two parts": (
        GOOD + "slurm: {time: 10:30}\n",
        "s.yaml:6:9: slurm.time: found '10:30'; write 10m, 2h, 1h30m, 02:00:00, 1-12:00:00 or minutes as a number, at "
        "most 366 days",
    ),
    "memory with a B": (
        GOOD + "slurm: {mem: 4GB}\n",
        "s.yaml:6:9: slurm.mem: found '4GB'; write 4G, 500M or megabytes as a number, or 0 for all memory of the node",
    ),
    "a line of setup that is no text": (
        GOOD + "slurm: {setup: [module load cuda, 3]}\n",
        "s.yaml:6:35: slurm.setup: found 3; a line of a shell script",
    ),
    "more epochs than anybody trains": (
        GOOD.replace("[4, 8]", "[1e19]"),
        "s.yaml:3:12: space.epochs: found 1e+19; a whole number from 1 to 1000000",
    ),
    "an infinite number in a merged mapping": (
        GOOD.replace("learning_rate: [1e-3]", "<<: {learning_rate: [.inf]}"),
        "s.yaml:5:24: space.learning_rate: found .inf; a finite number",
    ),
    "a number above 64 bits in a merged mapping": (
        GOOD + "slurm: {sbatch: {<<: {nice: 99999999999999999999}}}\n",
        "s.yaml:6:29: slurm.sbatch.nice: found 99999999999999999999; a whole number below 2^63",
    ),
    "a number as a key": (
        GOOD + "slurm: {sbatch: {1: 2}}\n",
        "s.yaml:6:18: slurm.sbatch: found the key 1; a key must be text: put it in quotes",
    ),
    "two merge keys": (
        GOOD + "run: {<<: {parallel: 1}, <<: {parallel: 2}}\n",
        "s.yaml:6:26: run: duplicate key '<<', first at line 6; keep one",
    ),
    "more trials than a sweep may have": (
        RANGE + "study: {sampler: tpe, trials: 1000000000000}\n",
        "s.yaml:6:23: study.trials: found 1000000000000; 1 to 100000",
    ),
    "a grid of more points than a sweep may have": (
        GOOD.replace("[4, 8]", str(list(range(1, 401)))).replace("[4]", str(list(range(1, 401)))),
        "s.yaml:2:1: space: has 160000 points; a sweep has at most 100000 trials",
    ),
    "more values than an axis may have": (
        GOOD.replace("[4, 8]", str(list(range(1, 10_002)))),
        "s.yaml:3:3: space.epochs: found 10001 values; at most 10000",
    ),
    "a step that makes too many values": (
        GOOD.replace("[1e-3]", "{low: 1, high: 2, step: 1e-300}") + "study: {sampler: tpe, trials: 1}\n",
        "s.yaml:5:3: space.learning_rate: found 1e-300, which makes more than 1000000000 values; use a larger step",
    ),
    "an argument of a sampler of the wrong type": (
        RANGE + "study: {trials: 1, sampler: {name: tpe, n_startup_trials: x}}\n",
        "s.yaml:6:41: study.sampler.n_startup_trials: found the text 'x'; allowed: a whole number",
    ),
    "an argument of a sampler that would need gigabytes": (
        RANGE + "study: {trials: 1, sampler: {name: TPESampler, n_ei_candidates: 1000000000}}\n",
        "s.yaml:6:48: study.sampler.n_ei_candidates: found 1000000000; 0 to 10000",
    ),
    "text for true or false": (
        RANGE + "study: {trials: 1, sampler: {name: tpe, multivariate: 'no'}}\n",
        "s.yaml:6:41: study.sampler.multivariate: found the text 'no'; allowed: true or false",
    ),
    "an argument of Optuna's pruner of the wrong type": (
        GOOD + "study: {pruner: {name: MedianPruner, n_warmup_steps: 2.5}}\n",
        "s.yaml:6:38: study.pruner.n_warmup_steps: found 2.5; allowed: a whole number",
    ),
    "an exponent that no computer can use": (
        GOOD + "study: {pruner: {name: asha, min_early_stopping_rate: 1000000}}\n",
        "s.yaml:6:30: study.pruner.min_early_stopping_rate: found 1000000; a whole number from 0 to 100",
    ),
    "memory as a list": (
        GOOD + "slurm: {mem: [4]}\n",
        "s.yaml:6:9: slurm.mem: found [4]; write 4G, 500M or megabytes as a number, or 0 for all memory of the node",
    ),
    "no memory as the most": (
        GOOD + "slurm: {mem_max: 0}\n",
        "s.yaml:6:9: slurm.mem_max: found 0; write 4G, 500M or megabytes as a number",
    ),
    "more than all memory": (
        GOOD + "slurm: {mem: 0, mem_max: 4G}\n",
        "s.yaml:6:17: slurm.mem_max: found 4G with mem 0, which is all memory already",
    ),
    "a time of centuries": (
        GOOD + "slurm: {time: 367d}\n",
        "s.yaml:6:9: slurm.time: found '367d'; write 10m, 2h, 1h30m, 02:00:00, 1-12:00:00 or minutes as a number, at "
        "most 366 days",
    ),
    "a wrong amount of memory of the reconciler job": (
        GOOD + "slurm: {reconciler: {mem: 4GB}}\n",
        "s.yaml:6:22: slurm.reconciler.mem: found '4GB'; write 4G, 500M or megabytes as a number, or 0 for all memory "
        "of the node",
    ),
    "more memory than mem_max": (
        GOOD + "slurm: {mem: 4G, mem_max: 500M}\n",
        "s.yaml:6:18: slurm.mem_max: found 500M, less than mem 4G",
    ),
    "an sbatch option that has a key": (
        GOOD + "slurm: {sbatch: {cpus_per_task: 3}}\n",
        "s.yaml:6:18: slurm.sbatch.cpus_per_task: use slurm.cpus",
    ),
    "an sbatch option for another cluster": (
        GOOD + "slurm: {sbatch: {clusters: c2}}\n",
        "s.yaml:6:18: slurm.sbatch.clusters: use a shell with that cluster's SLURM_CONF",
    ),
    "an abbreviated sbatch option for another cluster": (
        GOOD + "slurm: {sbatch: {cluster-c: gpu}}\n",
        "s.yaml:6:18: slurm.sbatch.cluster-c: use a shell with that cluster's SLURM_CONF",
    ),
    "a reconciler job on another cluster": (
        GOOD + "slurm: {reconciler: {clusters: c2}}\n",
        "s.yaml:6:22: slurm.reconciler.clusters: use a shell with that cluster's SLURM_CONF",
    ),
    "a section that occurs twice, with a key that is a number": (
        GOOD + "slurm: {gpus: 0}\nslurm: {sbatch: {7: 2}}\n",
        "s.yaml:7:1: slurm: duplicate key 'slurm', first at line 6; keep one",
    ),
    "a key that is a number and occurs twice": (
        GOOD + "slurm: {sbatch: {'comment': a, 7: b, 7: c}}\n",
        "s.yaml:6:32: slurm.sbatch: found the key 7; a key must be text: put it in quotes",
    ),
    "two options for the memory of a job": (
        GOOD + "slurm: {mem: 4G, sbatch: {mem-per-cpu: 500M}}\n",
        "s.yaml:6:27: slurm.sbatch.mem-per-cpu: SLURM accepts only one of mem and mem-per-cpu",
    ),
    "two options for the memory of a reconciler job": (
        GOOD + "slurm: {reconciler: {mem: 1G, mem-per-cpu: 500M}}\n",
        "s.yaml:6:31: slurm.reconciler.mem-per-cpu: SLURM accepts only one of mem and mem-per-cpu",
    ),
    "another number of GPUs of a type": (
        GOOD + "slurm: {gpus: 1, sbatch: {gres: 'gpu:a100:2'}}\n",
        "s.yaml:6:27: slurm.sbatch.gres: found 2 GPUs, and gpus is 1; write gpus: a100:2 and gpu_option: gres instead",
    ),
    "GPUs that no training would use": (
        GOOD + "slurm: {sbatch: {gres: 'gpu:4'}}\n",
        "s.yaml:6:18: slurm.sbatch.gres: found 4 GPUs, and gpus is 0; write gpus: 4 and gpu_option: gres instead",
    ),
    "GPUs twice": (
        GOOD + "slurm: {gpus: 'h100:1', sbatch: {gres: 'gpu:h100:1'}}\n",
        "s.yaml:6:34: slurm.sbatch.gres: asks for GPUs a second time, beside gpus: h100:1; remove them here",
    ),
    "a type of GPU without a number": (
        GOOD + "slurm: {gpus: h100}\n",
        "s.yaml:6:9: slurm.gpus: found 'h100'; write a number, or a type and a number, such as h100:4 or 1g.10gb:2",
    ),
    "an option of GPUs that does not exist": (
        GOOD + "slurm: {gpus: 1, gpu_option: tres}\n",
        "s.yaml:6:18: slurm.gpu_option: found 'tres'; one of gpus-per-node, gres, gpus-per-task",
    ),
    "memory in two ways": (
        GOOD + "slurm: {mem: 4G, mem_per_cpu: 1G}\n",
        "s.yaml:6:18: slurm.mem_per_cpu: SLURM accepts only one of mem and mem_per_cpu",
    ),
    "memory of GPUs that there are not": (
        GOOD + "slurm: {mem_per_gpu: 4G}\n",
        "s.yaml:6:9: slurm.mem_per_gpu: found '4G' without gpus; use mem",
    ),
    "a time of the reconciler job": (
        GOOD + "slurm: {reconciler: {time: long}}\n",
        "s.yaml:6:22: slurm.reconciler.time: found 'long'; write 10m, 2h, 1h30m, 02:00:00, 1-12:00:00 or minutes as a "
        "number, at most 366 days",
    ),
    "an sbatch option that unetsweep sets": (
        GOOD + "slurm: {sbatch: {output: x.log}}\n",
        "s.yaml:6:18: slurm.sbatch.output: is set by unetsweep; leave it out",
    ),
    "an sbatch option without a value": (
        GOOD + "slurm: {sbatch: {exclude: [n1, n2], exclusive: true, nice: false}}\n",
        "s.yaml:6:54: slurm.sbatch.nice: found False; text, a number, a list of them, "
        "true for an option without a value, or null to remove the option",
    ),
    "a missing profile": (
        GOOD + "slurm: {profile: gpu}\n",
        "s.yaml:6:9: slurm.profile: found 'gpu', which is neither in slurm/profiles nor in .config/unetsweep; "
        "available: none",
    ),
    "a name with a blank": (
        GOOD + "name: my sweep\n",
        "s.yaml:6:1: name: found 'my sweep'; letters, digits, - and _, at most 60, the first a letter or digit",
    ),
    "resuming without a command": (
        GOOD + "trainer: {resumes: true}\n",
        "s.yaml:6:11: trainer.resumes: found true without trainer.command; the built-in trainer always resumes",
    ),
    "a command without a program": (
        GOOD + "trainer: {command: ''}\n",
        "s.yaml:6:11: trainer.command: found '', which names no program; write 'python my_train.py {config} {out}'",
    ),
    "a brace without a partner": (
        GOOD + "trainer: {command: 'x --rate {learning_rate --n {epochs}'}\n",
        "s.yaml:6:11: trainer.command: found '{learning_rate', in which a brace has no partner; "
        "write a placeholder without spaces, as in {out}",
    ),
    "a pruner of trainings that have one epoch": (
        "trainer: {command: x}\nspace: {sigma: [1, 2]}\nstudy: {pruner: asha}\n",
        "s.yaml:3:9: study.pruner: found 'asha', which compares trainings at equal epochs, and all of these have one "
        "epoch; name `epochs` under space, such as epochs: 10, and report each epoch, or leave the pruner out",
    ),
    "a command with another placeholder": (
        GOOD + "trainer: {command: 'python x.py {cfg} {out}'}\n",
        "s.yaml:6:11: trainer.command: unknown placeholder {cfg}; did you mean {config}? "
        "replaced are {config}, {out}, {seed}, {epochs}, {batch_size}, {learning_rate}, and no shell runs the command",
    ),
    "a command with a misspelled parameter": (
        GOOD + "trainer: {command: 'python x.py {learning_rte} {out} {sigma}'}\n",
        "s.yaml:6:11: trainer.command: unknown placeholder {learning_rte}, {sigma}; did you mean {learning_rate}? "
        "replaced are {config}, {out}, {seed}, {epochs}, {batch_size}, {learning_rate}, and no shell runs the command",
    ),
    "a regular expression without a group": (
        GOOD.replace("images}", "images, split: {groups: 'Image_.*'}}"),
        "s.yaml:1:30: data.split.groups: found 'Image_.*', which has no group in parentheses; allowed: auto, a CSV "
        r"file, a regular expression with a group such as 'Image_(\d+)', or none",
    ),
    "augmentations that are no list": (
        GOOD + "trainer: {augment: flips}\n",
        "s.yaml:6:11: trainer.augment: found 'flips'; default, none, or a list such as "
        "[HorizontalFlip, {Affine: {rotate: [-30, 30]}}]",
    ),
    "no slots": (GOOD + "run: {parallel: 0}\n", "s.yaml:6:7: run.parallel: found 0; 1 to 100000"),
    "a key twice": (
        GOOD + "data: {root: others}\n",
        "s.yaml:6:1: data: duplicate key 'data', first at line 1; keep one",
    ),
    "a key that is a number": (GOOD + "1: 2\n", "s.yaml:6:1: 1: found the key 1; a key must be text: put it in quotes"),
    "a loop": (GOOD + "trainer: {augment: &a [*a]}\n", "s.yaml:6:20: trainer.augment: refers to itself"),
    "a tab": (
        "space:\n\tepochs: 3\n",
        "s.yaml:2:1: this is not YAML: while scanning for the next token, "
        "found character '\\t' that cannot start any token",
    ),
    "an empty file": (
        "",
        "s.yaml:1:1: is empty; name, data, space, points, exclude, study, model, trainer, run, slurm are expected",
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_a_problem_names_its_position_and_what_to_write(name: str, tmp_path: Path) -> None:
    text, line = TABLE[name]

    assert problems_of(text, tmp_path) == [line]
