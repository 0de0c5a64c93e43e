"""The same jobs on many machines: predictions, trials and a service on a Ray cluster.

The only room that imports Ray, and only when a job asks for it; on one machine everything goes without.
"""
