"""Training on several processes and machines, by torch.distributed: the one place that knows about ranks.

Nothing of it is imported unless a launcher (torchrun, srun, Ray) started the process as one of several.
"""
