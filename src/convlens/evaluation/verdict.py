"""What an accuracy means, in words."""

from convlens.evaluation.evaluation import Evaluation


def guessing(done: Evaluation) -> str:
    """What an accuracy that cannot be told from guessing is compared with."""
    commonest = max(done.per_class, key=lambda row: row.images).label
    return f"to answer {commonest!r} each time would be right on {done.guessing:.2%} of these images"
