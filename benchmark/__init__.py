"""SpikeLedger: published rows -> cells -> runs -> tables -> comparison. Importing this package loads nothing heavy."""

import os

# Before torch loads OpenMP: waiting threads sleep. Spinning ones make two runs that share their cores five times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
