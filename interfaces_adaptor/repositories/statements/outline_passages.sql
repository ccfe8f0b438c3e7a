-- Every so many passages, in reading order; with a heading those under it. In: tenant, dataset, every, heading (titles,
-- outermost first, or null), the filters, limit. Out: chunk_id.
with allowed as materialized (
    select v.version_id, v.chunk_count
    from document_versions v
    join documents d on d.tenant_id = v.tenant_id and d.dataset_id = v.dataset_id and d.doc_id = v.doc_id
    where v.tenant_id = :tenant and v.dataset_id = :dataset and v.state = 'ready' and d.deleted_at is null
        and (cast(:doc_ids as text[]) is null or d.doc_id = any(:doc_ids))
        and (cast(:sources as text[]) is null or d.source = any(:sources))
        and (cast(:tags as text[]) is null or jsonb_exists_any(d.tags, :tags))
        and (cast(:meta as jsonb) is null or not exists (
            select from jsonb_array_elements(cast(:meta as jsonb)) as field (options)
            where not exists (
                select from jsonb_array_elements(field.options) as option (wanted) where d.extra_meta @> option.wanted
            )
        ))
)
select c.chunk_id
from chunks c join allowed a on a.version_id = c.version_id
where c.tenant_id = :tenant and c.idx % :every = 0
    and (cast(:heading as text[]) is null
        or c.heading_path[1:cardinality(cast(:heading as text[]))] = cast(:heading as text[]))
order by c.doc_id, c.idx limit :limit
