"""One limiter for each (provider, key), shared by all processes: requests and tokens a minute, calls at once, pauses.

The last minute's calls of a key are rows; its limits are a row that every caller locks for the moment of asking. What a
provider allows is learnt: from the headers of its answers, which say it, and from a 429, which only says "too much". A
429 makes all callers pause; one with a long pause, or one after another, says that what went through in the last minute
was all there is.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import random
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakValueDictionary

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from infra.uow.unit_of_work import short_transaction
from services.errors import ContextTooLong, ProviderRateLimited

logger = logging.getLogger(__name__)

# Our minute and the provider's do not begin together, and an answer travels.
MARGIN = 1 / 60
# A call whose process died does not hold its place for longer; a living one says so in time.
LEASE_S = 15.0
LONGEST_SLEEP_S = 5.0
# A provider may want to be left alone for a day: that ends its job, and who tries again is told again.
LONGEST_BLOCK_S = 120.0
# A pause from so many seconds on is one of a window that is full, a shorter one that of a busy moment; one that no
# window of a minute takes to empty is of a quota of the hour or the day, and says nothing about the minute.
WINDOW_PAUSE_S = 5.0
PAUSE_UNTOLD_S = 2.0
# One call of so many clears away what no window counts any more.
CLEARED_EVERY = 20


@dataclass(frozen=True, slots=True)
class Limits:
    """None: not limited, or not known. `start` bounds the calls at once until the provider has answered one; requests
    and tokens are counted over `window_s` seconds."""

    rpm: int | None = None
    tpm: int | None = None
    concurrency: int | None = None
    min_interval_s: float = 0.0
    start: int = 0
    window_s: float = 60.0


@dataclass(slots=True)
class Call:
    """A call that was let through; `tokens` is set to what it really took, `reported` to what the provider said."""

    call_id: uuid.UUID
    tokens: int
    reported: Limits | None = None


@dataclass(slots=True, weakref_slot=True)
class Queue:
    """The callers of this process on one key: the first asks the database, the others stand behind it."""

    first: asyncio.Lock = field(default_factory=asyncio.Lock)
    left: asyncio.Event = field(default_factory=asyncio.Event)


current_call: ContextVar[Call | None] = ContextVar("current_call", default=None)


def note_limits(headers: Mapping[str, str]) -> None:
    """Takes down what an answer to the call under way says of its key's limits; `headers` in lower case."""
    call = current_call.get()
    if call is None:
        return
    rpm, tpm = (positive(headers.get(f"x-ratelimit-limit-{name}")) for name in ("requests", "tokens"))
    if rpm is not None or tpm is not None:
        call.reported = Limits(rpm, tpm)


def positive(value: str | None) -> int | None:
    return int(value) if value and value.isascii() and value.isdigit() and int(value) > 0 else None


def fingerprint(key: str) -> str:
    """What stands for a key wherever it is counted."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]


class Limiter:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._queues: WeakValueDictionary[tuple[str, str], Queue] = WeakValueDictionary()
        self._under_way: set[uuid.UUID] = set()
        self._renewing: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def call(
        self, provider: str, key: str, limits: Limits, tokens: int, patience_s: float | None = None
    ) -> AsyncIterator[Call]:
        """Waits for the call's turn. A ProviderRateLimited that comes out of it slows all down. Raises ContextTooLong
        for a call that no minute has room for, ProviderRateLimited if its turn does not come within `patience_s`."""
        owner = {"provider": provider, "key": fingerprint(key)}
        call = Call(uuid.uuid4(), tokens)
        queue = self._queues.setdefault((provider, owner["key"]), Queue())
        await self._turn(owner, limits, call, queue, patience_s)
        self._keep(call)
        ok = False
        token = current_call.set(call)
        try:
            yield call
            ok = True
        except ProviderRateLimited as error:
            await self._slow_down(owner, limits, call, error.retry_after_s)
            raise
        finally:
            with contextlib.suppress(ValueError):  # a stream may be left in another context than it was begun in
                current_call.reset(token)
            self._under_way.discard(call.call_id)
            await asyncio.shield(self._finish(owner, limits, call, ok))
            queue.left.set()

    async def _turn(
        self, owner: Mapping[str, str], limits: Limits, call: Call, queue: Queue, patience_s: float | None
    ) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(patience_s), queue.first:
                while True:
                    queue.left.clear()
                    pause = await self._ask(owner, limits, call)
                    if pause <= 0:
                        return
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(queue.left.wait(), min(pause, LONGEST_SLEEP_S))
        except TimeoutError:
            raise ProviderRateLimited(
                f"{owner['provider']} takes no more calls on this key for the moment.",
                retry_after_s=PAUSE_UNTOLD_S,
                provider=owner["provider"],
                waited_s=round(time.monotonic() - began, 1),
            ) from None

    async def _ask(self, owner: Mapping[str, str], limits: Limits, call: Call) -> float:
        """0 if the call may begin, else seconds until it is worth asking again. Raises ContextTooLong."""
        async with counting(self._engine) as connection:
            state = await locked(connection, owner)
            known = merged(limits, state)
            if known.tpm is not None and call.tokens > known.tpm:
                raise ContextTooLong(
                    f"The call needs about {call.tokens} tokens, {owner['provider']} takes {known.tpm} a minute.",
                    provider=owner["provider"],
                )
            seen = await counted(connection, owner, limits)
            pause = pause_before(known, call.tokens, seen, state)
            if pause > 0:
                return pause
            await connection.execute(
                text(
                    """
                    insert into provider_calls (provider, key_hash, call_id, started_at, tokens, ok, expires_at)
                    values (:provider, :key, :call, clock_timestamp(), :tokens, false,
                        clock_timestamp() + make_interval(secs => :lease))
                    """
                ),
                {**owner, "call": call.call_id, "tokens": call.tokens, "lease": LEASE_S},
            )
        return 0.0

    def _keep(self, call: Call) -> None:
        self._under_way.add(call.call_id)
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        """Says that the calls of this process are still under way; ends with the last of them."""
        while True:
            await asyncio.sleep(LEASE_S / 3)
            if not self._under_way:
                return
            async with counting(self._engine) as connection:
                await connection.execute(
                    text(
                        """
                        update provider_calls set expires_at = clock_timestamp() + make_interval(secs => :lease)
                        where call_id = any(:calls)
                        """
                    ),
                    {"calls": list(self._under_way), "lease": LEASE_S},
                )

    async def _finish(self, owner: Mapping[str, str], limits: Limits, call: Call, ok: bool) -> None:
        async with counting(self._engine) as connection:
            await connection.execute(
                text(
                    """
                    update provider_calls set finished_at = clock_timestamp(), tokens = :tokens, ok = :ok
                    where provider = :provider and key_hash = :key and call_id = :call
                    """
                ),
                {**owner, "call": call.call_id, "tokens": call.tokens, "ok": ok},
            )
            if random.random() < 1 / CLEARED_EVERY:  # noqa: S311 - not a secret
                await connection.execute(
                    text(
                        """
                        delete from provider_calls where provider = :provider and key_hash = :key
                            and started_at < clock_timestamp() - make_interval(secs => :kept)
                            and (finished_at is not null or expires_at < clock_timestamp())
                        """
                    ),
                    {**owner, "kept": 2 * limits.window_s},
                )
            if call.reported is not None:
                await connection.execute(
                    text(
                        """
                        update provider_limits set rpm = coalesce(:rpm, rpm), tpm = coalesce(:tpm, tpm)
                        where provider = :provider and key_hash = :key
                            and (rpm, tpm) is distinct from (coalesce(:rpm, rpm), coalesce(:tpm, tpm))
                        """
                    ),
                    {**owner, "rpm": call.reported.rpm, "tpm": call.reported.tpm},
                )

    async def _slow_down(
        self, owner: Mapping[str, str], limits: Limits, call: Call, retry_after_s: float | None
    ) -> None:
        """Nobody calls until the provider wants to be called again. Of the calls that were sent together and refused
        the last one counts: by then only those are left that were accepted."""
        told, asked = retry_after_s is not None, PAUSE_UNTOLD_S if retry_after_s is None else retry_after_s
        async with counting(self._engine) as connection:
            await locked(connection, owner)
            row = await connection.execute(
                SLOW_DOWN,
                {
                    **owner,
                    "call": call.call_id,
                    "window": limits.window_s,
                    "pause": asked if asked <= LONGEST_BLOCK_S else PAUSE_UNTOLD_S,
                    "long": told and WINDOW_PAUSE_S <= asked * 60 / limits.window_s <= LONGEST_BLOCK_S,
                    "told": told,
                },
            )
            learnt = dict(row.one()._mapping)
        logger.warning(
            "provider limits its key, calls slow down", extra={**owner, "retry_after_s": retry_after_s, **learnt}
        )


@asynccontextmanager
async def counting(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction that nobody waits for the disk for: a crash may forget a second of counts."""
    async with short_transaction(engine) as connection:
        await connection.execute(text("set local synchronous_commit = off"))
        yield connection


SLOW_DOWN = text(
    """
    with mine as (
        select started_at from provider_calls
        where provider = :provider and key_hash = :key and call_id = :call
    ), others as (
        select count(*) filter (where finished_at is null and expires_at > clock_timestamp()) as under_way,
            count(*) filter (where ok or (finished_at is null and expires_at > clock_timestamp())) as went_through
        from provider_calls
        where provider = :provider and key_hash = :key and call_id <> :call
            and started_at > clock_timestamp() - make_interval(secs => :window)
    ), seen as (
        select under_way, went_through, l.refused_at is not null and l.refused_at > m.started_at as same_burst,
            l.refused_at > clock_timestamp() - make_interval(secs => :window) as again
        from others, provider_limits l left join mine m on true
        where l.provider = :provider and l.key_hash = :key
    )
    update provider_limits l set
        blocked_until = greatest(l.blocked_until, clock_timestamp() + make_interval(secs => :pause)),
        learnt_concurrency = greatest(1, case when s.same_burst then least(l.learnt_concurrency, s.under_way)
            else s.under_way end),
        learnt_rpm = case
            when s.went_through = 0 then l.learnt_rpm
            when s.same_burst then least(l.learnt_rpm, s.went_through)
            when :long or (s.again and not :told) then s.went_through
            else l.learnt_rpm end,
        refused_at = case when s.same_burst then l.refused_at else clock_timestamp() end
    from seen s where l.provider = :provider and l.key_hash = :key
    returning l.learnt_rpm, l.learnt_concurrency
    """
)


async def locked(connection: AsyncConnection, owner: Mapping[str, str]) -> Mapping[str, Any]:
    """The key's row, held until the end of the transaction: two callers do not take the same place."""
    found = (await connection.execute(LOCK, owner)).one_or_none()
    if found is None:
        await connection.execute(
            text("insert into provider_limits (provider, key_hash) values (:provider, :key) on conflict do nothing"),
            owner,
        )
        found = (await connection.execute(LOCK, owner)).one()
    return dict(found._mapping)


# What was learnt from a refusal is forgotten: limits rise, and a busy minute is not a limit.
LOCK = text(
    """
    select rpm, tpm, learnt_concurrency,
        case when refused_at > clock_timestamp() - interval '10 minutes' then learnt_rpm end as learnt_rpm,
        extract(epoch from clock_timestamp() - refused_at) as refused_s,
        extract(epoch from blocked_until - clock_timestamp()) as blocked_s
    from provider_limits where provider = :provider and key_hash = :key for update
    """
)


async def counted(connection: AsyncConnection, owner: Mapping[str, str], limits: Limits) -> Mapping[str, Any]:
    row = await connection.execute(
        text(
            """
            select count(*) filter (where recent) as requests, coalesce(sum(tokens) filter (where recent), 0) as tokens,
                count(*) filter (where finished_at is null and expires_at > clock_timestamp()) as in_flight,
                count(*) filter (where finished_at is not null and ok) as answered,
                extract(epoch from clock_timestamp() - min(started_at) filter (where recent)) as oldest_s,
                extract(epoch from clock_timestamp() - max(started_at)) as newest_s
            from (
                select *, started_at > clock_timestamp() - make_interval(secs => :window) as recent
                from provider_calls where provider = :provider and key_hash = :key
            ) calls
            """
        ),
        {**owner, "window": limits.window_s * (1 + MARGIN)},
    )
    return dict(row.one()._mapping)


def merged(configured: Limits, state: Mapping[str, Any]) -> Limits:
    """The strictest of what the operator says, what the provider told and what was learnt from its refusals. What it
    told itself is not guessed. Learnt calls at once double with every window that passes without a refusal."""
    learnt_rpm = state["learnt_rpm"] if state["rpm"] is None else None
    at_once = state["learnt_concurrency"]
    if at_once is not None:
        windows = min(float(state["refused_s"] or 0) / configured.window_s, 16)
        at_once = int(at_once * 2**windows)
    return replace(
        configured,
        rpm=least(configured.rpm, state["rpm"], learnt_rpm),
        tpm=least(configured.tpm, state["tpm"]),
        concurrency=least(configured.concurrency, at_once),
    )


def least(*values: int | None) -> int | None:
    return min((value for value in values if value is not None), default=None)


def pause_before(limits: Limits, tokens: int, seen: Mapping[str, Any], state: Mapping[str, Any]) -> float:
    """Seconds until a call of so many tokens may be tried, by the last minute's calls; 0: now."""
    if (blocked := float(state["blocked_s"] or 0)) > 0:
        return blocked
    in_flight = int(seen["in_flight"])
    if limits.concurrency is not None and in_flight >= limits.concurrency:
        return 0.05
    if limits.start and not seen["answered"] and in_flight >= limits.start:
        return 0.05
    if seen["newest_s"] is not None and (early := limits.min_interval_s - float(seen["newest_s"])) > 0:
        return early
    until_oldest_leaves = max(0.05, limits.window_s * (1 + MARGIN) - float(seen["oldest_s"] or 0))
    if limits.rpm is not None and int(seen["requests"]) >= limits.rpm:
        return until_oldest_leaves
    if limits.tpm is not None and int(seen["requests"]) and int(seen["tokens"]) + tokens > limits.tpm:
        return until_oldest_leaves
    return 0.0
