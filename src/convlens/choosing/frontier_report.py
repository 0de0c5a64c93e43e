"""A study's result as files: values, a table, a page that works offline, a picture."""

import csv
import io
from pathlib import Path
from typing import Any

from convlens import files
from convlens.choosing.frontier import FILE, Entry, Frontier
from convlens.choosing.frontier_figure import COSTS, Against, report_of
from convlens.choosing.limits import BOUNDS, Costs
from convlens.evaluation.report_page import Section, write_report
from convlens.quantities import count, size_in_bytes

COLUMNS = ("candidate", "accuracy", "95 % interval", "parameters", "MACs", "file", "ms", "memory", "epochs", "")


def write_frontier(found: Frontier) -> list[Path]:
    """Write `frontier.json`, `.csv`, `.html` and `.png` into the study's folder, and give their paths."""
    values, table, page, picture = (found.study / f"frontier.{suffix}" for suffix in ("json", "csv", "html", "png"))
    assert values.name == FILE
    files.write_text(table, as_csv(found))
    write_report(page, f"Which network for {found.data}?", _sections(found))
    files.write_bytes(picture, as_png(found))
    files.write_json(values, found.to_dict())  # last: who finds it finds the others
    return [values, table, page, picture]


def as_csv(found: Frontier) -> str:
    """One line a candidate; what is unknown is empty."""
    buffer = io.StringIO()
    costs = list(Costs.__dataclass_fields__)
    plain = [name for name in Entry.__dataclass_fields__ if name not in ("costs", "seeds")]
    writer = csv.DictWriter(buffer, [*plain, *costs, "seeds", "recommended"])
    writer.writeheader()
    for entry in found.entries:
        row: dict[str, Any] = {name: getattr(entry, name) for name in plain}
        row |= {name: getattr(entry.costs, name) if entry.costs else None for name in costs}
        row |= {"size": "x".join(map(str, entry.size)), "seeds": " ".join(f"{seed:.6f}" for seed in entry.seeds)}
        writer.writerow(row | {"recommended": entry.name == found.recommended})
    return buffer.getvalue()


def as_png(found: Frontier) -> bytes:
    """Accuracy against each cost that is known, a panel each."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawings = _drawings(found)
    figure = Figure(figsize=(11, 3.9 * -(-len(drawings) // 2)), layout="constrained")
    FigureCanvasAgg(figure)
    for index, drawing in enumerate(drawings):
        drawing.draw(figure.add_subplot(-(-len(drawings) // 2), 2, index + 1))
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle(f"{found.data}: accuracy on {found.images} {found.split} images, with 95 % intervals", fontsize=11)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


def cells(entry: Entry) -> tuple[str, ...]:
    """A candidate's row of a table, in the order of `COLUMNS`."""
    costs, finished = entry.costs, entry.status == "finished"
    if entry.top1 is not None:
        accuracy, interval = f"{entry.top1:.2%}", f"{entry.low:.1%} to {entry.high:.1%}"
    else:
        accuracy, interval = ("–" if entry.val_top1 is None else f"({entry.val_top1:.2%})"), ""
    return (
        entry.name,
        accuracy,
        interval,
        count(costs.parameters) if costs else "–",
        count(costs.macs) if costs else "–",
        size_in_bytes(costs.file_bytes) if costs else "–",
        f"{costs.latency_ms:.3g}" if costs and costs.latency_ms is not None else "–",
        size_in_bytes(costs.memory_bytes) if costs and costs.memory_bytes is not None and finished else "–",
        str(entry.epochs) if entry.epochs or finished else "–",
        entry.reason or ("on the frontier" if entry.on_frontier else entry.status),
    )


def _drawings(found: Frontier) -> list[Against]:
    measured = any(entry.costs and entry.costs.latency_ms is not None for entry in found.finished)
    by_name = {cost.attribute: cost for cost in COSTS}
    kinds = [*("parameters", "macs"), *(["latency_ms", "memory_bytes"] if measured else []), "file_bytes"]
    return [Against(found=found, cost=by_name[kind]) for kind in kinds]


def _sections(found: Frontier) -> list[Section]:
    sections = [
        Section(
            title="Which one to take", text=found.because, facts=_facts(found), notes=[*found.notes, _stopped(found)]
        ),
        Section(
            title="Accuracy against what it costs",
            text="Point at a network for its numbers; a click opens the report of its training. A double click beside "
            "the points shows those far below, too. The line joins the best for at most so much; bars are 95 % "
            "intervals. Rings are validation accuracies of those left behind.",
            drawings=_drawings(found),
        ),
        Section(
            title="Every candidate",
            text="In brackets: accuracy on the validation images of those that were not trained to their end.",
            columns=COLUMNS,
            rows=[cells(entry) for entry in found.entries],
            links=[report_of(entry) for entry in found.entries],
        ),
    ]
    return [*sections, _noise(found)] if found.comparisons else sections


def _facts(found: Frontier) -> list[tuple[str, str]]:
    facts = [("take", found.recommended or "none")]
    if found.recommended:
        entry = found[found.recommended]
        facts += list(zip(COLUMNS[1:8], cells(entry)[1:8], strict=True))
        if entry.runtime:
            facts.append(("fastest on", f"{entry.runtime}, {entry.precision}"))
    limits = ", ".join(f"{BOUNDS[name].option} {BOUNDS[name].write(value)}" for name, value in found.limits.items())
    return [*facts, ("limits", limits or "none")]


def _noise(found: Frontier) -> Section:
    rows = [
        (
            each.other,
            f"{each.only_best}",
            f"{each.only_other}",
            f"{each.p_adjusted:.3g}",
            "yes" if each.distinguished else "no",
            "–" if each.images_needed is None else f"{each.images_needed:,}",
        )
        for each in found.comparisons
    ]
    best = found.comparisons[0].best
    return Section(
        title="What is inside the noise",
        text=f"{best}, the most accurate, against each of the others, on the same {found.images} images: exact McNemar "
        "tests with Holm's correction.",
        columns=(
            *("candidate", f"only {best} right", "only this one right", "p"),
            *("distinguished", "images needed"),
        ),
        rows=rows,
        notes=["Images needed: so many would show such a difference in four studies of five."],
    )


def _stopped(found: Frontier) -> str:
    return f"The study ended because {found.stopped_because}; its trainings took {found.seconds:,.0f} s."
