"""What a reader has to know of a comparison beside its numbers: start, judges, what is missing."""

from restoration.compare.result import Record, listing


def about_start(record: Record) -> list[str]:
    """Say that the trainings branch from one checkpoint."""
    start = record.plan.settings.start
    if start is None:
        return []
    trained = next((recipe for recipe in record.plan.recipes if recipe.trained), None)
    key = "" if trained is None else f" ({trained.options.path.param_key_g})"
    digest = next((one["start"] for one in record.identities.values() if "start" in one), "")
    hashed = f", SHA-256 {digest[:12]}" if digest else ""
    return [
        f"Every training branches from one checkpoint, {start.name}{key}{hashed}: from its weights "
        "alone, with a fresh optimiser. What is chance in the training of that checkpoint is in no "
        "interval."
    ]


def about_judges(record: Record) -> list[str]:
    """Say of every metric how it stands to the losses."""
    if not record.standings:
        return []
    said = [
        f"{record.columns[name].label}: {standing.text}"
        for name, standing in record.standings.items()
    ]
    judges = [
        record.columns[name].label for name, one in record.standings.items() if not one.trained
    ]
    alone = [record.columns[name].label for name, one in record.standings.items() if one.is_judge]
    if alone:
        plural = "judges" if len(alone) > 1 else "judge"
        said.insert(0, f"Independent {plural} of this comparison: {listing(alone)}.")
    elif judges:
        said.insert(0, "No measured metric is independent of all losses and of their kinds.")
    else:
        said.insert(0, "Every measured metric is a loss of some recipe: none is an honest judge.")
    return [said[0], *[f"{text}." for text in said[1:]]]


def about_absent(record: Record) -> list[str]:
    """Name the trainings that left nothing to measure, and what follows from that."""
    if not record.absent:
        return []
    said = [f"Left out: {one.title}: {one.reason}." for one in record.absent]
    several = (
        ", for a recipe is compared by all of its seeds or not at all" if record.several else ""
    )
    return [
        *said,
        f"A recipe that misses a training has no values{several}. The others are compared with "
        f"{record.plan.reference.name}.",
    ]


def commands_for_absent(record: Record) -> list[str]:
    """What trains those that did not diverge, as arguments of `restoration compare`."""
    return [one.flags for one in record.absent if not one.diverged]
