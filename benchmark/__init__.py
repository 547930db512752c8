"""SpikeLedger: published rows -> cells -> runs -> tables -> comparison. Importing this package loads nothing heavy."""
