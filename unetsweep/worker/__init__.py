"""What a job runs: claim the run, train, and record how it ended.

On SLURM every task of srun calls an `ElementPayload`. On the local machine a supervisor (`python -m unetsweep.worker
supervise`) starts the ranks, waits for them, and starts the exit hook.
"""

from unetsweep.worker.allocation import Allocation as Allocation
from unetsweep.worker.rank import ElementPayload as ElementPayload
from unetsweep.worker.rank import train_by_hand as train_by_hand
from unetsweep.worker.supervisor import train_ranks_by_hand as train_ranks_by_hand
