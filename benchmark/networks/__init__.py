"""What backbones are made of: shared layers, attention, and how a network is built from a specification."""
