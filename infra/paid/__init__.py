"""What stands around every paid call, from the outside in: the store of paid results, single flight, the budget,
retries, the limiter, the provider. A hit costs no quota; a retry queues again; a budget stops before a call."""
