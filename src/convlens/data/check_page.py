"""The page of a check: every kind of finding with thumbnails; one file that opens offline."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from io import BytesIO

from PIL import Image

from convlens.data.dataset import Record
from convlens.data.findings import KINDS, Check, Finding
from convlens.errors import legible
from convlens.images import ImageError

_SHOWN = 24  # findings of a kind that are shown
_SIDE = 128  # of a thumbnail
_MEMBERS = 4  # images of a group that are shown

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Check of {{ name }}</title>
<style>
:root { color-scheme: light dark; --line: #8884; --error: #c22; --warning: #b70; --note: #678; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; } td, th { padding: .2rem .8rem .2rem 0; text-align: left; }
th { border-bottom: 1px solid var(--line); } td.number { text-align: right; font-variant-numeric: tabular-nums; }
h2 { margin-top: 2.5rem; } h2 small { font-weight: normal; font-size: 1rem; }
.error { color: var(--error); } .warning { color: var(--warning); } .note { color: var(--note); }
.grid { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; padding: .5rem; border: 1px solid var(--line); border-radius: .4rem; max-width: 100%; }
figure > div { display: flex; flex-wrap: wrap; gap: .6rem; margin: .3rem 0; } .member { width: 8rem; }
img { max-width: 8rem; max-height: 8rem; display: block; background: #8882; }
figcaption { font-size: .8rem; max-width: 17.5rem; overflow-wrap: anywhere; }
</style></head><body>
<h1>Check of {{ name }}</h1>
<p>{{ images }} images in {{ classes }} classes; {{ errors }} error(s).</p>
<table><tr><th>found</th><th>how many</th><th>what it means</th></tr>
{% for kind in kinds %}<tr><td><a class="{{ kind.severity }}" href="#{{ kind.name }}">{{ kind.name }}</a></td>
<td class="number">{{ kind.count }}</td><td>{{ kind.meaning }}</td></tr>{% endfor %}</table>
{% if not kinds %}<p>Nothing to complain about.</p>{% endif %}
<table><tr><th>class</th>{% for split in splits %}<th>{{ split }}</th>{% endfor %}</tr>
{% for row in sizes %}<tr><td>{{ row.name }}</td>
{% for n in row.counts %}<td class="number">{{ n }}</td>{% endfor %}</tr>{% endfor %}</table>
{% if notes %}<ul>{% for note in notes %}<li>{{ note }}</li>{% endfor %}</ul>{% endif %}
{% for kind in kinds %}
<h2 id="{{ kind.name }}" class="{{ kind.severity }}">{{ kind.name }} <small>{{ kind.meaning }}</small></h2>
<div class="grid">{% for item in kind.shown %}<figure>
<figcaption>{{ item.detail }}</figcaption>
{% if item.members %}<div>{% for m in item.members %}<div class="member">
{% if m.thumb %}<img src="{{ m.thumb }}" alt="" loading="lazy">{% endif %}
<figcaption>{% if m.where %}<b>{{ m.where }}</b><br>{% endif %}{{ m.key }}</figcaption></div>
{% endfor %}</div>{% endif %}
{% if item.more %}<figcaption>and {{ item.more }} more</figcaption>{% endif %}</figure>{% endfor %}</div>
{% if kind.count > kind.shown|length %}
<p>and {{ kind.count - kind.shown|length }} more; --json lists all.</p>{% endif %}
{% endfor %}</body></html>
"""


def page_of(result: Check) -> str:
    """Draw the page as HTML."""
    from jinja2 import Environment

    dataset, present = result.dataset, [kind for kind in KINDS if result.of(kind)]
    records = {record.key: (split, record) for split, held in dataset.splits.items() for record in held}
    kinds = []
    for name in present:
        severity, meaning = KINDS[name]
        found = result.of(name)
        shown = [_shown(result, records, finding) for finding in found[:_SHOWN]]
        kinds.append({"name": name, "severity": severity, "meaning": meaning, "count": len(found), "shown": shown})
    counts = {split: dataset.counts(split) for split in dataset.splits}
    return (
        Environment(autoescape=True)
        .from_string(_PAGE)
        .render(
            name=legible(dataset.name),
            images=f"{result.images:,}",
            classes=len(dataset.classes),
            errors=result.errors,
            kinds=kinds,
            splits=list(counts),
            sizes=[
                {"name": legible(name), "counts": [counts[split][name] for split in counts]} for name in dataset.classes
            ],
            notes=[legible(note) for note in dataset.notes],
        )
    )


def _shown(result: Check, records: Mapping[str, tuple[str, Record]], finding: Finding) -> dict[str, object]:
    chosen = _of_every_kind(records, finding.keys)
    members = [
        {"thumb": _thumbnail(result, records, key), "key": legible(key), "where": _where(records, key)}
        for key in chosen
    ]
    return {"members": members, "detail": legible(finding.detail), "more": len(finding.keys) - len(chosen)}


def _of_every_kind(records: Mapping[str, tuple[str, Record]], keys: Sequence[str]) -> list[str]:
    """The images of a group that are shown: first one of each class and split, so that the page shows what clashes."""
    firsts: dict[tuple[str, str], str] = {}
    for key in keys:
        split, record = records.get(key, ("", None))
        firsts.setdefault((record.label if record else "", split), key)
    chosen = list(firsts.values())[:_MEMBERS]
    chosen += [key for key in keys if key not in chosen][: _MEMBERS - len(chosen)]
    return sorted(chosen, key=list(keys).index)


def _where(records: Mapping[str, tuple[str, Record]], key: str) -> str:
    split, record = records.get(key, ("", None))
    return legible(f"{split or 'no split'}, {record.label}") if record else ""


def _thumbnail(result: Check, records: Mapping[str, tuple[str, Record]], key: str) -> str:
    """A small JPEG as a data address; "" for what cannot be read."""
    _, record = records.get(key, ("", None))
    if record is None:
        return ""
    try:
        pixels = result.dataset.read(record, channels=3, at_least=(_SIDE, _SIDE))
    except ImageError:
        return ""
    picture = Image.fromarray(pixels)
    picture.thumbnail((_SIDE, _SIDE))
    file = BytesIO()
    picture.save(file, "jpeg", quality=80)
    return f"data:image/jpeg;base64,{b64encode(file.getvalue()).decode()}"
