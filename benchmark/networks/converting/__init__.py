"""How an artificial network becomes a spiking one: where neurons can stand, what they are set by, and what runs in place of the rest."""
