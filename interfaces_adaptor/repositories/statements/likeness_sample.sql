-- Mean and deviation of the likeness of what a dataset serves to a query: of the vectors first in the order of their
-- owners' ids, which are hashes: a sample of chance, the same every time.
-- In: tenant, dataset, tree, model, owner_type, query, limit. Out: one row, mean and deviation.
with served as materialized (
    select v.version_id from document_versions v
    join documents d on d.tenant_id = v.tenant_id and d.dataset_id = v.dataset_id and d.doc_id = v.doc_id
    where v.tenant_id = :tenant and v.dataset_id = :dataset and v.state = 'ready' and d.deleted_at is null
)
select coalesce(avg(score), 0) as mean, coalesce(stddev_pop(score), 0) as deviation
from (
    select 1 - (v <=> cast(:query as vector)) as score from embeddings
    where tenant_id = :tenant and dataset_id = :dataset and owner_type = :owner_type and model = :model
        and (generation_id = (select cast(:tree as uuid)) or generation_id in (select version_id from served))
    order by owner_id limit :limit
) sampled
