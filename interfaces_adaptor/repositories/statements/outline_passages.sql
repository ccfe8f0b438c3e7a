-- Every so many passages, in reading order. In: tenant, dataset, every, the filters, limit. Out: chunk_id.
with allowed as materialized (
    select v.version_id, v.chunk_count
    from document_versions v
    join documents d on d.tenant_id = v.tenant_id and d.dataset_id = v.dataset_id and d.doc_id = v.doc_id
    where v.tenant_id = :tenant and v.dataset_id = :dataset and v.state = 'ready' and d.deleted_at is null
        and (cast(:doc_ids as text[]) is null or d.doc_id = any(:doc_ids))
        and (cast(:sources as text[]) is null or d.source = any(:sources))
        and (cast(:fields as jsonb) is null or not exists (
            select from jsonb_array_elements(cast(:fields as jsonb)) as wanted (field)
            where exists (
                select from jsonb_array_elements(d.fields -> (field ->> 'name')) as had (value)
                where field -> 'none' @> value
            ) or field -> 'some' is not null and not exists (
                select from jsonb_array_elements(d.fields -> (field ->> 'name')) as had (value)
                where coalesce(field -> 'any' @> value, true)
                    and coalesce(starts_with(value #>> cast(array[] as text[]), field ->> 'prefix'), true)
                    and coalesce(jsonb_typeof(value) = jsonb_typeof(field -> 'gt') and value > field -> 'gt', true)
                    and coalesce(jsonb_typeof(value) = jsonb_typeof(field -> 'gte') and value >= field -> 'gte', true)
                    and coalesce(jsonb_typeof(value) = jsonb_typeof(field -> 'lt') and value < field -> 'lt', true)
                    and coalesce(jsonb_typeof(value) = jsonb_typeof(field -> 'lte') and value <= field -> 'lte', true)
            )
        ))
),
outside as materialized (
    select c.chunk_id, c.version_id, c.idx from chunks c
    where cast(:section as text[]) is not null and c.tenant_id = :tenant
        and c.version_id in (select version_id from allowed)
        and c.heading_path[1:cardinality(cast(:section as text[]))] <> cast(:section as text[])
)
select c.chunk_id
from chunks c join allowed a on a.version_id = c.version_id
where c.tenant_id = :tenant and c.idx % :every = 0 and c.chunk_id not in (select chunk_id from outside)
order by c.doc_id, c.idx limit :limit
