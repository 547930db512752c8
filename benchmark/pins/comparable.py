"""What a resolved cell does otherwise than the paper printed. Computed from the specifications, never from the name of a scale."""

from benchmark.pins import recipes

SHARES = ("epochs", "pretrain_epochs")  # values that read best as "30 of 300"
SPLITS = {"train_images": ("train", "training images"), "test_images": ("test", "test images")}
MODELS = {False: "paper size", "tiny": "twin", "mini": "mini twin"}  # what of a network's file ran, by `twin` of a specification
ALIKE = ("recompute",)  # keys that change no bit of a result


def differences(run, as_printed) -> list[str]:
    """Short phrases, what matters most first; both arguments are cells.Resolved of the same cell."""
    found = [*of_network(run.spec, as_printed.spec), *of_data(run, as_printed), *of_recipe(run.spec, as_printed.spec)]
    found += of_parameters(run.spec["method"]["params"], as_printed.spec["method"]["params"])
    for (role, above), (_, printed) in zip(run.upstream, as_printed.upstream, strict=True):
        found += [f"{role}: {phrase}" for phrase in differences(above, printed)]
    return found


def of_network(ours: dict, theirs: dict) -> list[str]:
    """A twin, or another size, form, neuron or number of steps."""
    found = [MODELS[ours["network"]["twin"]]] if ours["network"]["twin"] else []
    if not found:
        found += [f"another {key} of the network" for key in ("size", "neuron") if ours["network"][key] != theirs["network"][key]]
    if ours["time_steps"] != theirs["time_steps"]:
        found.append(f"{ours['time_steps']} time steps for {theirs['time_steps']}")
    return found


def of_data(run, as_printed) -> list[str]:
    ours, theirs = run.spec["data"]["name"], as_printed.spec["data"]["name"]
    return [f"{ours} for {theirs}"] if ours != theirs else []


def of_recipe(ours: dict, theirs: dict) -> list[str]:
    """Every recipe value that differs, the number of epochs first."""
    a, b = recipes.whole(ours["recipe"]), recipes.whole(theirs["recipe"])
    keys = sorted((a.keys() | b.keys()) - {*ALIKE, *SPLITS, "micro_batch"}, key=lambda key: (key not in SHARES, key))
    found = [fewer(ours, split, what) for key, (split, what) in SPLITS.items() if a[key] != b[key]]
    found += [phrase(key, a.get(key), b.get(key)) for key in keys if a.get(key) != b.get(key)]
    return found + ([f"batches of {a['batch_size']} in {parts(a)}"] if parts(a) != parts(b) else [])


def fewer(ours: dict, split: str, what: str) -> str:
    """How many images of a split are used, in the words that are used of a run."""
    return f"{recipes.images(ours, split)} of {ours['data'][split]} {what}"


def parts(recipe: dict) -> str:
    """How a batch goes through the network: batch normalisation sees each part alone."""
    part = recipe["micro_batch"]
    return f"parts of {part}" if part and part < recipe["batch_size"] else "one part"


def phrase(key: str, ours, theirs) -> str:
    return f"{ours} of {theirs} {key.replace('_', ' ')}" if key in SHARES else f"{key} {said(ours)} for {said(theirs)}"


def of_parameters(ours: dict, theirs: dict) -> list[str]:
    return [
        f"{key} {said(ours.get(key))} for {said(theirs.get(key))}"
        for key in sorted(ours.keys() | theirs.keys())
        if ours.get(key) != theirs.get(key)
    ]


def said(value) -> str:
    """A value in a phrase."""
    return "none" if value is None else ",".join(map(str, value)) if isinstance(value, list) else str(value)
