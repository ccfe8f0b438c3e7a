-- For each node the way to the root, over primary edges.
-- In: tenant, tree, ids. Out: start (the node), and its ancestors from the parent up; no title of one that is stale.
with recursive above as (
    select w.start, e.parent_id as node_id, 1 as step
    from unnest(cast(:ids as uuid[])) as w (start)
    cross join lateral (
        select e.parent_id from tree_edges e
        where e.tenant_id = :tenant and e.tree_id = (select cast(:tree as uuid)) and e.is_primary
            and e.child_id = w.start limit 1
    ) e
    union all
    select a.start, e.parent_id, a.step + 1
    from above a
    cross join lateral (
        select e.parent_id from tree_edges e
        where e.tenant_id = :tenant and e.tree_id = (select cast(:tree as uuid)) and e.is_primary
            and e.child_id = a.node_id limit 1
    ) e
)
select a.start, n.node_id, n.level, case when n.stale then null else n.title end as title
from above a
cross join lateral (
    select t.node_id, t.level, t.stale, t.title from tree_nodes t
    where t.tenant_id = :tenant and t.tree_id = (select cast(:tree as uuid)) and t.node_id = a.node_id limit 1
) n
order by a.start, a.step
