"""What `convlens explain` takes, and its help."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def explain(
    source: str,
    *images: str,
    method: str = "gradcam",
    target: str | None = None,
    layer: str | None = None,
    patch: int | None = None,
    weights: str | None = None,
    classes: Path | None = None,
    out: Path = Path("explained"),
    sheet: Annotated[bool, Parameter(negative="")] = False,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Show which parts of an image a network's answer rests on: heat maps, as pictures and as arrays.

    Example: convlens explain runs/train/photos cat.jpg dog.jpg --sheet

    A file that cannot be read gives a row with the error, and exit code 1; the other files are explained.

    Args:
        source: What to explain: a run folder, a network's name (its weights must be installed), my_net.py:Net, or an
            artifact. Artifacts other than safetensors support only --method occlusion.
        images: Image files, folders, patterns such as *.jpg, http://, https:// and s3:// addresses, or - for standard
            input: an image, or names of images, one per line.
        method: Method: gradcam, gradcam++, eigencam, occlusion or integrated-gradients.
        target: Name of the class to explain. Default: the most probable one.
        layer: Path of the module to read. Default: the last one whose output has a height and a width.
        patch: Side of the square that occlusion covers, in pixels; it moves by a third of this. Default: a quarter of
            the image. Halving it takes up to four times as long.
        weights: Weights for a network's name or code: a published name, such as imagenet1k_v1, or a file.
        classes: Text file of class names for a file of weights: one name per line, in the order of the outputs.
        out: Folder for NAME-METHOD.png (the heat over the image) and NAME-METHOD.npy (the map (H, W), from 0 to 1).
        sheet: Also write sheet.png, with every image beside its heat.
        json_: Print the result as JSON and nothing else.
    """
