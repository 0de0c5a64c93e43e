"""Sources of labelled images, splits, checks, augmentation, loading."""
