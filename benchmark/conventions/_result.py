"""The keys that all conventions share."""

from benchmark.conventions._energy import PRESET, energy


def result(name: str, acs: float, macs: float, uncounted: list[str], preset: str = PRESET, **more) -> dict:
    """acs, macs per inference, which alone cost energy: in mJ at a preset of picojoule.csv."""
    return with_energy(name, acs, macs, energy(macs, acs, preset), uncounted, preset, **more)


def with_energy(name: str, acs: float, macs: float, energy_mj: float, uncounted: list[str], prices: str, **more) -> dict:
    """The same for a convention in which more than acs and macs costs energy; prices: a name for what each costs."""
    return {"acs": acs, "macs": macs, **more, "energy_mJ": energy_mj, "convention": f"{name}, {prices}", "uncounted": uncounted}
