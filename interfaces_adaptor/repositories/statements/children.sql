-- Nodes one level below `parents` (null: the root) that lead to a passage which is let through, most alike first.
-- In: tenant, dataset, model, tree, parents, query, the filters, limit.
-- Out: node_id, level, score, whole (all that the node was written from is let through, so that it may be shown).
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
    select n.node_id, n.level, not n.stale and (n.level = 0 or n.text is not null) as live,
        coalesce(e.v <=> cast(:query as vector), 1) as distance
    from tree_nodes n
    left join embeddings e on e.tenant_id = n.tenant_id and e.dataset_id = :dataset and e.model = :model
        and e.owner_id = n.node_id and e.owner_type = case when n.level = 0 then 'chunk' else 'tree_node' end
    where n.tenant_id = :tenant and n.tree_id = (select cast(:tree as uuid))
        and (cast(:parents as uuid[]) is not null or n.kind = 'root')
        and (cast(:parents as uuid[]) is null or n.node_id in (
            select t.child_id from tree_edges t
            where t.tenant_id = :tenant and t.tree_id = (select cast(:tree as uuid)) and t.parent_id = any(:parents)
        ))
        and exists (
            select from chunks c
            where c.tenant_id = :tenant and c.version_id in (select version_id from allowed)
                and c.chunk_id not in (select chunk_id from outside)
                and (c.chunk_id = n.chunk_id or n.level > 0 and exists (
                    select from tree_node_chunks p
                    where p.tenant_id = :tenant and p.tree_id = (select cast(:tree as uuid))
                        and p.node_id = n.node_id and p.chunk_id = c.chunk_id
                ))
        )
    order by distance limit :limit
)
select node_id, level, 1 - distance as score, live and (
        level = 0 or (not :filtered or not exists (
            select from tree_node_chunks p join chunks c on c.tenant_id = p.tenant_id and c.chunk_id = p.chunk_id
            where p.tenant_id = :tenant and p.tree_id = (select cast(:tree as uuid)) and p.node_id = found.node_id
                and (c.version_id not in (select version_id from allowed)
                    or c.chunk_id in (select chunk_id from outside))
        ))
    ) as whole
from found
order by distance, node_id
