"""Names in the job queue, which those who defer work and those who do it have to agree on."""

from __future__ import annotations

QUEUE = "raptor"

RUN_JOB = "raptor.run_job"
RESCUE_JOBS = "raptor.rescue_jobs"
PURGE_PAID_RESULTS = "raptor.purge_paid_results"
DELIVER_WEBHOOK = "raptor.deliver_webhook"
REMOVE_OLD_DELIVERIES = "raptor.remove_old_deliveries"
EXPIRE_UPLOADS = "raptor.expire_uploads"
REMOVE_OLD_GENERATIONS = "raptor.remove_old_generations"
DROP_VECTOR_INDEXES = "raptor.drop_vector_indexes"

# The trigger on `jobs` (migration 0005) says on this channel whose jobs have changed.
JOB_CHANGES = "raptor_jobs"
