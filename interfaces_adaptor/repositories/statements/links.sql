-- What documents link to, and what links to them: at most `limit` for each key and for each document.
-- In: tenant, dataset, doc_ids, limit. Out: doc_id, outward, key, and the other document: other_id, title, source.
with asked as materialized (select * from unnest(cast(:doc_ids as text[])) as a (doc_id))
select a.doc_id, true as outward, l.key, d.doc_id as other_id, d.title, d.source
from asked a
join link_keys l on l.tenant_id = :tenant and l.dataset_id = :dataset and l.doc_id = a.doc_id and not l.is_name
cross join lateral (
    select n.doc_id from link_keys n
    where n.tenant_id = :tenant and n.dataset_id = :dataset and n.is_name and n.key = l.key order by n.doc_id limit :limit
) n
join documents d on d.tenant_id = :tenant and d.dataset_id = :dataset and d.doc_id = n.doc_id and d.deleted_at is null
where d.doc_id <> a.doc_id
union all
select a.doc_id, false, null, d.doc_id, d.title, d.source
from asked a
cross join lateral (
    select distinct l.doc_id from link_keys n
    join link_keys l on l.tenant_id = :tenant and l.dataset_id = :dataset and not l.is_name and l.key = n.key
    where n.tenant_id = :tenant and n.dataset_id = :dataset and n.doc_id = a.doc_id and n.is_name
    order by l.doc_id limit :limit
) l
join documents d on d.tenant_id = :tenant and d.dataset_id = :dataset and d.doc_id = l.doc_id and d.deleted_at is null
where d.doc_id <> a.doc_id
order by 1, 2, 4
