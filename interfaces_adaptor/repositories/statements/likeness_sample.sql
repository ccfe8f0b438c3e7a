-- Mean and deviation of the likeness of a dataset's vectors to a query: of those first in the order of their owners' ids,
-- which are hashes: a sample of chance, the same every time.
-- In: tenant, dataset, model, owner_type, query, limit. Out: one row, mean and deviation.
select coalesce(avg(score), 0) as mean, coalesce(stddev_pop(score), 0) as deviation
from (
    select 1 - (v <=> cast(:query as vector)) as score from embeddings
    where tenant_id = :tenant and dataset_id = :dataset and owner_type = :owner_type and model = :model
    order by owner_id limit :limit
) sampled
