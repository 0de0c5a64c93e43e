"""Draw the pictures and fill the tables of the pages on networks, from the networks themselves.

    python docs/draw_networks.py

A picture has one box a stage: as high as the map's side, as wide as its channels, both on a logarithmic scale.
"""

import math
from pathlib import Path

import torch

from convlens import activations, create
from convlens.lessons.literature import compare, papers
from convlens.lessons.literature_claims import claims
from convlens.lessons.literature_figure import draw_figure_1
from convlens.networks import card, names

HERE = Path(__file__).parent
BEGIN, END = "<!-- figures of the cards -->", "<!-- end -->"

# page -> families on it; picture -> network and the stages that it shows
PAGES = {
    "lenet": ("mlp", "lenet_1998", "lenet"),
    "alexnet": ("alexnet",),
    "vgg": ("vgg",),
    "googlenet": ("googlenet",),
    "resnet": ("resnet", "resnet_cifar"),
    "efficientnet": ("efficientnet",),
    "mobilenet": ("mobilenet_v2", "efficientnet_lite"),
    "amoebanet": ("amoebanet",),
}
PICTURES = {
    "lenet": ("lenet5_1998", "c1 s2 c3 s4 c5 f6 output"),
    "alexnet": ("alexnet_2012", "conv1 pool1 conv2 pool2 conv3 conv4 conv5 pool5 fc6 fc7 fc8"),
    "vgg": ("vgg16", "stage1.relu2 stage2.relu2 stage3.relu3 stage4.relu3 stage5.relu3 stage5.pool fc6 fc7 fc8"),
    "googlenet": (
        "googlenet_2014",
        "conv1 conv3 inception3a inception3b inception4a inception4b inception4c inception4d inception4e inception5a "
        "inception5b avgpool fc",
    ),
    "resnet": ("resnet50", "conv1 maxpool layer1 layer2 layer3 layer4 avgpool fc"),
    "efficientnet": (
        "efficientnet_b0",
        "stem stage1 stage2 stage3 stage4 stage5 stage6 stage7 head avgpool classifier",
    ),
    "mobilenet": ("mobilenet_v2", "stem stage1 stage2 stage3 stage4 stage5 stage6 stage7 head avgpool classifier"),
}


def main() -> None:
    """Write every picture, and every table between its marks."""
    for page, (network, stages) in PICTURES.items():
        (HERE / "pictures" / f"network-{page}.svg").write_text(picture(network, stages.split()), encoding="utf-8")
    draw_figure_1(compare(papers()), HERE / "pictures" / "literature.png")
    path = HERE / "networks" / "literature.md"
    path.write_text(with_literature(path.read_text(encoding="utf-8")), encoding="utf-8")
    for page in PAGES:
        path = HERE / "networks" / f"{page}.md"
        path.write_text(with_table(path.read_text(encoding="utf-8"), page), encoding="utf-8")


def picture(network: str, stages: list[str]) -> str:
    """One network as boxes from the image to the classes, SVG."""
    sheet = card(network)
    with torch.device("meta"):
        x = torch.zeros(1, sheet.channels, *sheet.input_size)
        seen = activations(create(network).eval(), x, at=stages)
    shapes = [("image", tuple(x.shape[1:])), *((name, tuple(seen[name].shape[1:])) for name in stages)]
    boxes, left, middle = [], 20.0, 110.0
    for name, shape in shapes:
        channels, side = shape[0], shape[1] if len(shape) == 3 else 1
        height, width = 6 + 22 * math.log2(1 + side), 8 + 5 * math.log2(channels)
        label = "×".join(map(str, (*shape[1:], channels))) if len(shape) == 3 else str(channels)
        x_text = left + width / 2
        boxes.append(
            f'<rect x="{left:.1f}" y="{middle - height / 2:.1f}" width="{width:.1f}" height="{height:.1f}" rx="3"/>'
            f'<text transform="translate({x_text:.1f} 222) rotate(40)">{name.replace("inception", "")} · {label}</text>'
        )
        left += width + 24
    title = f"{network}: map sizes from the image to the classes"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + 90:.0f} 330" role="img" aria-label="{title}">'
        "<style>rect{fill:#0072b2;fill-opacity:.75}text{font:11px sans-serif;fill:#888}</style>"
        f"<title>{title}</title>{''.join(boxes)}</svg>\n"
    )


def with_table(text: str, page: str) -> str:
    """The page with its table between the marks made anew."""
    rows = ["| network | input | parameters | G-MACs | top-1 | of |", "|---|---|---|---|---|---|"]
    for sheet in (card(name) for name in names()):
        if sheet.family in PAGES[page]:
            top1 = "–" if sheet.top1 is None else f"{sheet.top1:.2f} %"
            size = f"{sheet.input_size[0]}×{sheet.input_size[1]}×{sheet.channels}"
            cost = f"{sheet.parameters:,} | {sheet.macs / 1e9:.3g}"
            rows.append(f"| `{sheet.name}` | {size} | {cost} | {top1} | {sheet.accuracy_source} |")
    return _filled(text, rows)


def with_literature(text: str) -> str:
    """The page on the literature with its table and its sentences made anew."""
    rows = [
        "| network | source | parameters | recomputed | G-MACs | recomputed | top-1 |",
        "|---|---|---|---|---|---|---|",
    ]
    found = compare(papers())
    for row in found:
        stated = row.stated
        ours = "as published" if row.parameters is None else f"{row.parameters:,}"
        cost = "as published" if row.macs is None else f"{row.macs / 1e9:.3g}"
        millions, gigas = (
            "–" if n is None else f"{n / unit:.3g}" for n, unit in ((stated.parameters, 1e6), (stated.macs, 1e9))
        )
        top1 = "–" if stated.top1 is None else f"{stated.top1:.1f} %"
        rows.append(f"| {stated.network} | {stated.source} | {millions} M | {ours} | {gigas} | {cost} | {top1} |")
    return _filled(text, [*rows, "", *(f"- {claim.text}." for claim in claims(found))])


def _filled(text: str, lines: list[str]) -> str:
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n" + "\n".join(lines) + f"\n\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    main()
