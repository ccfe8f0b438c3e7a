-- Text and place of nodes that were found; those that may not be shown are left out. Looked up one by one: `limit 1`
-- keeps the planner from joining whole trees.
-- In: tenant, dataset, tree, ids, the filters. Out: a row a node, in no order.
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
wanted as materialized (select * from unnest(cast(:ids as uuid[])) as w (node_id))
select w.node_id, 'leaf' as kind, n.title, c.text, c.token_cnt, c.doc_id, d.source, c.heading_path, c.start_char,
    c.end_char, array[c.chunk_id] as chunk_ids, false as degraded, c.meta ->> 'table_header' as table_header,
    d.file_name, d.title as document_title
from wanted w
join chunks c on c.tenant_id = :tenant and c.chunk_id = w.node_id
    and c.version_id in (select version_id from allowed) and c.chunk_id not in (select chunk_id from outside)
join documents d on d.tenant_id = :tenant and d.dataset_id = :dataset and d.doc_id = c.doc_id
left join lateral (
    select t.title from tree_nodes t
    where t.tenant_id = :tenant and t.tree_id = (select cast(:tree as uuid)) and t.node_id = w.node_id limit 1
) n on true
union all
select n.node_id, n.kind, n.title, n.text, n.token_cnt, null, null, null, null, null, (
    select array_agg(p.chunk_id order by p.rank) from tree_node_chunks p
    where p.tenant_id = :tenant and p.tree_id = (select cast(:tree as uuid)) and p.node_id = n.node_id
), jsonb_exists(n.meta, 'reason'), null, null, null
from wanted w
cross join lateral (
    select t.* from tree_nodes t
    where t.tenant_id = :tenant and t.tree_id = (select cast(:tree as uuid)) and t.node_id = w.node_id
        and t.level > 0 and not t.stale and t.text is not null
        and (not :filtered or not exists (
            select from tree_node_chunks p join chunks c on c.tenant_id = p.tenant_id and c.chunk_id = p.chunk_id
            where p.tenant_id = :tenant and p.tree_id = (select cast(:tree as uuid)) and p.node_id = t.node_id
                and (c.version_id not in (select version_id from allowed)
                    or c.chunk_id in (select chunk_id from outside))
        ))
    limit 1
) n
