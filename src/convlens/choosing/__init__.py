"""Which network to take, on one's own images and machine: candidates, limits, a study of trainings, the frontier."""
