"""Language-model code: choose a base, encode, train, score, decide. No Prefect, MLflow or boto3."""

import os

# GNU OpenMP's threads spin while they wait for each other, by default for so long that two
# trainings on the same cores starve each other. Read when PyTorch is loaded, so it is said before;
# benchmarks/two_at_once.py has the figures. Yours win.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "15000")
