"""Class activation, feature maps, occlusion."""
