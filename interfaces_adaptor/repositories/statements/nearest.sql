-- The nodes of a dataset that are most like a vector, every one compared. All vectors have length 1, so that the cosine
-- orders them as the dataset's own metric does.
-- The score is made of `distance` outside: beside it, each vector would be read and compared twice (a third more time).
-- In: tenant, dataset, model, tree, query, levels (null: all), passages and summaries (which kinds), the filters, limit.
-- Out: owner_id, level, score; best first.
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
),
found as (
    select e.owner_id, e.level, e.v <=> cast(:query as vector) as distance
    from embeddings e
    where e.tenant_id = :tenant and e.dataset_id = :dataset and e.model = :model
        and (cast(:levels as int[]) is null or e.level = any(:levels))
        and (
            :passages and e.owner_type = 'chunk' and e.generation_id in (select version_id from allowed)
            and e.owner_id not in (select chunk_id from outside)
            or :summaries and e.generation_id = (select cast(:tree as uuid))
            and exists (
                select from tree_nodes n
                where n.tenant_id = :tenant and n.tree_id = (select cast(:tree as uuid)) and n.node_id = e.owner_id
                    and not n.stale and n.text is not null
            )
            and (not :filtered or not exists (
                select from tree_node_chunks p join chunks c on c.tenant_id = p.tenant_id and c.chunk_id = p.chunk_id
                where p.tenant_id = :tenant and p.tree_id = (select cast(:tree as uuid)) and p.node_id = e.owner_id
                    and (c.version_id not in (select version_id from allowed)
                    or c.chunk_id in (select chunk_id from outside))
            ))
        )
    order by distance, e.owner_id
    limit :limit
)
select owner_id, level, 1 - distance as score from found order by distance, owner_id
