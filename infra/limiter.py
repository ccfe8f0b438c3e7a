"""One limiter for each (provider, key), shared by all processes: requests and tokens a minute, calls at once, pauses.

The last minute's calls of a key are rows; its limits are a row that every caller locks for the moment of asking. What a
provider allows is learnt: from the headers of its answers, and from a 429, which says that what went through in the
last minute was all there is.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.errors import ProviderRateLimited

logger = logging.getLogger(__name__)

WINDOW_S = 60.0
# Our minute and the provider's do not begin together, and an answer travels.
MARGIN_S = 1.0
# A call whose process died does not hold its place for longer.
CALL_EXPIRES_S = 660.0
LONGEST_SLEEP_S = 5.0


@dataclass(frozen=True, slots=True)
class Limits:
    """None: not limited, or not known. `start` bounds the calls at once until the provider has answered one."""

    rpm: int | None = None
    tpm: int | None = None
    concurrency: int | None = None
    min_interval_s: float = 0.0
    start: int = 0


@dataclass(slots=True)
class Call:
    """A call that was let through; `tokens` is set to what it really took, `told` to what the provider said."""

    call_id: uuid.UUID
    tokens: int
    told: Limits | None = None


def fingerprint(key: str) -> str:
    """What stands for a key wherever it is counted."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]


class Limiter:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def call(self, provider: str, key: str, limits: Limits, tokens: int) -> AsyncIterator[Call]:
        """Waits for the call's turn. A ProviderRateLimited that comes out of it lowers the limits for all."""
        owner = {"provider": provider, "key": fingerprint(key)}
        call = Call(uuid.uuid4(), tokens)
        ok = False
        try:
            # The turn is decided in the database, where other processes take theirs: nothing here could set an Event.
            while (pause := await self._ask(owner, limits, call)) > 0:  # noqa: ASYNC110
                await asyncio.sleep(min(pause, LONGEST_SLEEP_S))
            yield call
            ok = True
        except ProviderRateLimited as error:
            await self._slow_down(owner, error.retry_after_s)
            raise
        finally:
            await self._finish(owner, call, ok)

    async def _ask(self, owner: Mapping[str, str], limits: Limits, call: Call) -> float:
        """0 if the call may begin, else seconds until it is worth asking again."""
        async with self._engine.begin() as connection:
            state = await locked(connection, owner)
            known = merged(limits, state)
            row = (
                await connection.execute(
                    text(
                        """
                        select count(*) filter (where started_at > clock_timestamp() - make_interval(secs => :window))
                                as requests,
                            coalesce(sum(tokens) filter (
                                where started_at > clock_timestamp() - make_interval(secs => :window)), 0) as tokens,
                            count(*) filter (where finished_at is null and expires_at > clock_timestamp()) as in_flight,
                            count(*) filter (where finished_at is not null and ok) as answered,
                            extract(epoch from clock_timestamp() - min(started_at) filter (
                                where started_at > clock_timestamp() - make_interval(secs => :window))) as oldest_s,
                            extract(epoch from clock_timestamp() - max(started_at)) as newest_s
                        from provider_calls where provider = :provider and key_hash = :key
                        """
                    ),
                    {**owner, "window": WINDOW_S + MARGIN_S},
                )
            ).one()
            pause = pause_before(known, call.tokens, dict(row._mapping), state)
            if pause > 0:
                return pause
            await connection.execute(
                text(
                    """
                    insert into provider_calls (provider, key_hash, call_id, started_at, tokens, ok, expires_at)
                    values (:provider, :key, :call, clock_timestamp(), :tokens, false,
                        clock_timestamp() + make_interval(secs => :expires))
                    """
                ),
                {**owner, "call": call.call_id, "tokens": call.tokens, "expires": CALL_EXPIRES_S},
            )
        return 0.0

    async def _finish(self, owner: Mapping[str, str], call: Call, ok: bool) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(
                text(
                    """
                    with past as (
                        delete from provider_calls where provider = :provider and key_hash = :key
                            and finished_at < clock_timestamp() - interval '10 minutes'
                    )
                    update provider_calls set finished_at = clock_timestamp(), tokens = :tokens, ok = :ok
                    where provider = :provider and key_hash = :key and call_id = :call
                    returning set_config('synchronous_commit', 'off', true)
                    """
                ),
                {**owner, "call": call.call_id, "tokens": call.tokens, "ok": ok},
            )
            if call.told is not None:
                await connection.execute(
                    text(
                        """
                        update provider_limits set rpm = coalesce(:rpm, rpm), tpm = coalesce(:tpm, tpm)
                        where provider = :provider and key_hash = :key
                            and (rpm, tpm) is distinct from (coalesce(:rpm, rpm), coalesce(:tpm, tpm))
                        """
                    ),
                    {**owner, "rpm": call.told.rpm, "tpm": call.told.tpm},
                )

    async def _slow_down(self, owner: Mapping[str, str], retry_after_s: float | None) -> None:
        """Nobody calls until the provider wants to be called again; and no faster than what it let through, unless it
        told its limits itself."""
        async with self._engine.begin() as connection:
            await locked(connection, owner)
            went_through = (
                await connection.execute(
                    text(
                        """
                        select count(*) as requests, coalesce(sum(tokens), 0) as tokens from provider_calls
                        where provider = :provider and key_hash = :key and ok
                            and started_at > clock_timestamp() - make_interval(secs => :window)
                        """
                    ),
                    {**owner, "window": WINDOW_S},
                )
            ).one()
            await connection.execute(
                text(
                    """
                    update provider_limits set
                        blocked_until = greatest(blocked_until, clock_timestamp() + make_interval(secs => :pause)),
                        rpm = coalesce(rpm, :rpm), learnt_at = clock_timestamp()
                    where provider = :provider and key_hash = :key
                    """
                ),
                {
                    **owner,
                    "pause": retry_after_s if retry_after_s is not None else 2.0,
                    "rpm": max(1, went_through.requests),
                },
            )
        logger.warning(
            "provider limits its key, calls slow down",
            extra={**owner, "retry_after_s": retry_after_s, "went_through": went_through.requests},
        )


async def locked(connection: AsyncConnection, owner: Mapping[str, str]) -> Mapping[str, Any]:
    """The key's row, held until the end of the transaction: two callers do not take the same place."""
    await connection.execute(
        text("insert into provider_limits (provider, key_hash) values (:provider, :key) on conflict do nothing"), owner
    )
    # The commit does not wait for the disk, neither here nor when a call is finished: who is under way is forgotten
    # when the server dies, and rightly so. 16 callers waited for 16 disk writes in a row, twice a call.
    # What was learnt from a refusal is forgotten after an hour: limits rise, and a busy minute is not a limit.
    row = await connection.execute(
        text(
            """
            select case when learnt_at is null or learnt_at > clock_timestamp() - interval '1 hour' then rpm end as rpm,
                set_config('synchronous_commit', 'off', true), tpm,
                extract(epoch from blocked_until - clock_timestamp()) as blocked_s
            from provider_limits where provider = :provider and key_hash = :key for update
            """
        ),
        owner,
    )
    return dict(row.one()._mapping)


def merged(configured: Limits, state: Mapping[str, Any]) -> Limits:
    """The stricter of what the operator says and what was learnt."""
    return replace(
        configured,
        rpm=least(configured.rpm, state["rpm"]),
        tpm=least(configured.tpm, state["tpm"]),
    )


def least(first: int | None, second: int | None) -> int | None:
    given = [value for value in (first, second) if value is not None]
    return min(given) if given else None


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
    until_oldest_leaves = WINDOW_S + MARGIN_S - float(seen["oldest_s"] or 0)
    if limits.rpm is not None and int(seen["requests"]) >= limits.rpm:
        return max(0.05, until_oldest_leaves)
    # A call that is larger than a minute's tokens goes alone, when the minute is empty.
    if limits.tpm is not None and int(seen["requests"]) and int(seen["tokens"]) + tokens > limits.tpm:
        return max(0.05, until_oldest_leaves)
    return 0.0
