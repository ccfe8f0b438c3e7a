-- Candidates among the live tree's summaries: those in `nearest` and the `limit` best by BM25; as passages.sql, without
-- neighbours.
-- In: tenant, dataset, model, tree, query, terms, nearest, levels (null: all), the filters, limit.
-- Out: as passages.sql.
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
live as materialized (
    select n.node_id, n.tree_id, n.level, n.position, n.token_cnt from tree_nodes n
    where n.tenant_id = :tenant and n.tree_id = (select cast(:tree as uuid)) and n.level > 0 and not n.stale
        and n.text is not null and (cast(:levels as int[]) is null or n.level = any(:levels))
        and (not :filtered or not exists (
            select from tree_node_chunks p join chunks c on c.tenant_id = p.tenant_id and c.chunk_id = p.chunk_id
            where p.tenant_id = :tenant and p.tree_id = (select cast(:tree as uuid)) and p.node_id = n.node_id
                and (c.version_id not in (select version_id from allowed)
                    or c.chunk_id in (select chunk_id from outside))
        ))
),
scope as materialized (
    select (select count(*) from live)::float8 as nodes,
        greatest(coalesce(sum(length), 0)::float8 / greatest(sum(nodes), 1), 1) as mean
    from posting_totals
    where tenant_id = :tenant and dataset_id = :dataset and generation_id = (select cast(:tree as uuid))
),
lists as materialized (
    select p.term, p.generation_id, p.level, array_agg(u.place) as places,
        array_agg(u.frequency) as frequencies, array_agg(u.length) as lengths
    from postings p
    cross join lateral unnest(p.places, p.frequencies, p.lengths) as u (place, frequency, length)
    where p.tenant_id = :tenant and p.dataset_id = :dataset and p.term = any(:terms)
        and p.generation_id = (select cast(:tree as uuid)) and (p.level, u.place) in (select level, position from live)
    group by p.term, p.generation_id, p.level
),
rarity as (
    select l.term, ln(1 + (scope.nodes - sum(cardinality(l.places)) + 0.5::float8)
        / (sum(cardinality(l.places)) + 0.5::float8)) * case when l.term like '^%' then 0.05 else 1 end as weight
    from lists l cross join scope group by l.term, scope.nodes
),
scored as materialized (
    select l.generation_id, l.level, u.place,
        sum(r.weight * u.frequency / (u.frequency + 0.375::float8 + 1.125::float8 * u.length / scope.mean)) as score
    from lists l join rarity r using (term) cross join scope
    cross join lateral unnest(l.places, l.frequencies, l.lengths) as u (place, frequency, length)
    group by l.generation_id, l.level, u.place
),
best as materialized (
    select generation_id, level, place from scored order by score desc, generation_id, level, place limit :limit
)
select l.node_id, l.level, l.tree_id as generation_id, l.position as place, true as found, l.token_cnt,
    0 as start_char, 0 as end_char, coalesce(s.score, 0) as lexical,
    1 - (e.v <=> cast(:query as vector)) as similarity,
    (select nodes from scope) as nodes, (select coalesce(sum(score), 0) from scored) as total,
    (select coalesce(sum(score * score), 0) from scored) as squares
from live l
join embeddings e on e.tenant_id = :tenant and e.dataset_id = :dataset and e.owner_type = 'tree_node'
    and e.owner_id = l.node_id and e.model = :model
left join scored s on s.level = l.level and s.place = l.position
where l.node_id = any(:nearest) or (l.tree_id, l.level, l.position) in (select * from best)
order by l.level, l.position
