-- How rare each of the terms is among the passages that are served. In: tenant, dataset, terms. Out: term, weight (idf).
with served as materialized (
    select v.version_id from document_versions v
    join documents d on d.tenant_id = v.tenant_id and d.dataset_id = v.dataset_id and d.doc_id = v.doc_id
    where v.tenant_id = :tenant and v.dataset_id = :dataset and v.state = 'ready' and d.deleted_at is null
),
scope as materialized (
    select coalesce(sum(nodes), 0)::float8 as nodes from posting_totals
    where tenant_id = :tenant and dataset_id = :dataset and level = 0
        and generation_id in (select version_id from served)
),
of_terms as materialized (
    select term, generation_id, places from postings
    where tenant_id = :tenant and dataset_id = :dataset and term = any(:terms) and level = 0
)
select t.term, ln(1 + greatest(scope.nodes - sum(cardinality(t.places)) + 0.5::float8, 0)
    / (sum(cardinality(t.places)) + 0.5::float8)) as weight
from of_terms t cross join scope
where t.generation_id in (select version_id from served)
group by t.term, scope.nodes
