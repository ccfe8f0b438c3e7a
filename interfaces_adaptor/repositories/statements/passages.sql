-- Candidates among the passages: those in `nearest`, the `limit` best by BM25 for the terms, and the neighbours of all
-- of these in their documents; each with both scores.
-- BM25 after Robertson and Zaragoza, k1 = 1.5, b = .75, idf as in Lucene; words as they were typed (`^`,
-- services/text/index_terms.py) only break ties; rarity and mean length are those of what is
-- served and let through at this moment. Materialised step by step: the planner takes each of these for one row and
-- would loop over them row by row (184 ms instead of 20 for 1,500 passages).
-- In: tenant, dataset, model, query, terms, nearest, reach (neighbours on each side), the filters, limit.
-- Out: a row a candidate, in the order of the documents; nodes, total and squares are those of all BM25 scores.
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
scope as materialized (
    select coalesce(sum(nodes), 0)::float8 as nodes,
        greatest(coalesce(sum(length), 0)::float8 / greatest(sum(nodes), 1), 1) as mean
    from posting_totals
    where tenant_id = :tenant and dataset_id = :dataset and level = 0
        and generation_id in (select version_id from allowed)
),
of_terms as materialized (
    select term, generation_id, level, places, frequencies, lengths from postings
    where tenant_id = :tenant and dataset_id = :dataset and term = any(:terms) and level = 0
),
lists as materialized (select * from of_terms where generation_id in (select version_id from allowed)),
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
    where (l.generation_id, u.place) not in (select version_id, idx from outside)
    group by l.generation_id, l.level, u.place
),
best as materialized (
    select generation_id, level, place from scored order by score desc, generation_id, level, place limit :limit
),
centres as (
    select generation_id, place from best
    union
    select c.version_id, c.idx from chunks c where c.tenant_id = :tenant and c.chunk_id = any(:nearest)
),
wanted as materialized (
    select generation_id, place, bool_or(found) as found, max(score) as score from (
        select generation_id, place + step as place, abs(step) <= 1 as found, null::float8 as score
        from centres cross join generate_series(- cast(:reach as int), :reach) as step
        union all
        select generation_id, place, null, score from scored
    ) both_kinds
    group by generation_id, place having bool_or(found) is not null
)
select c.chunk_id as node_id, 0 as level, w.generation_id, w.place, w.found, c.token_cnt, c.start_char, c.end_char,
    coalesce(w.score, 0) as lexical, 1 - (e.v <=> cast(:query as vector)) as similarity,
    (select nodes from scope) as nodes, (select coalesce(sum(score), 0) from scored) as total,
    (select coalesce(sum(score * score), 0) from scored) as squares
from wanted w
join chunks c on c.tenant_id = :tenant and c.version_id = w.generation_id and c.idx = w.place
    and c.chunk_id not in (select chunk_id from outside)
join embeddings e on e.tenant_id = :tenant and e.dataset_id = :dataset and e.owner_type = 'chunk'
    and e.owner_id = c.chunk_id and e.model = :model
order by w.generation_id, w.place
