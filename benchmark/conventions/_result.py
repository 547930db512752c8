"""The keys that all conventions share."""

from benchmark.conventions._energy import PRESET, energy


def result(name: str, acs: float, macs: float, uncounted: list[str], preset: str = PRESET, **more) -> dict:
    """acs, macs per inference; energy in mJ at a preset of picojoule.csv."""
    energy_mj = energy(macs, acs, preset)
    return {"acs": acs, "macs": macs, **more, "energy_mJ": energy_mj, "convention": f"{name}, {preset}", "uncounted": uncounted}
