"""LISTEN on a connection of its own, beside the pool, for as long as somebody wants to hear."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from infra.db.engine import asyncpg_url

logger = logging.getLogger(__name__)

RECONNECT_S = 1.0
# A pooler in transaction mode takes a LISTEN and drops what it brings, and a connection can be dead without a word:
# now and then something is said to hear whether it comes back.
PROBE_S = 60.0
ECHO_S = 5.0
PROBE = "probe "

Tell = Callable[[str | None], None]


class NothingHeard(Exception):
    """The connection stands, and what was said did not come back."""


class Notices:
    """What is said on one channel of the database at `url`; `engine` is the pool through which others say it."""

    def __init__(self, url: str, engine: AsyncEngine, channel: str) -> None:
        self._own = create_async_engine(asyncpg_url(url), poolclass=NullPool, connect_args={"timeout": ECHO_S})
        self._engine = engine
        self._channel = channel
        self.arrive = False

    async def listen(self, tell: Tell) -> None:
        """Tells each payload until it is cancelled, and None when notices begin or cease to arrive."""
        silent = False
        while True:
            pause_s, why = RECONNECT_S, "the connection was lost"
            try:
                await self._listen_once(tell)
            except NothingHeard as error:
                pause_s, why = PROBE_S, str(error)
            except Exception as error:
                # Whatever it was: who waits is read once a second, and it is tried again.
                why = f"{type(error).__name__}: {error}"
            if self.arrive or not silent:
                logger.warning("no notices from the database: jobs are read once a second", extra={"why": why})
                self.arrive, silent = False, True
                tell(None)
            await asyncio.sleep(pause_s)

    async def _listen_once(self, tell: Tell) -> None:
        """Until the connection is lost. Raises what ends it."""
        echo, lost = asyncio.Event(), asyncio.Event()
        said = f"{PROBE}{uuid.uuid4().hex}"

        def heard(_connection: object, _pid: int, _channel: str, payload: str) -> None:
            if payload == said:
                echo.set()
            elif not payload.startswith(PROBE):
                tell(payload)

        async with self._own.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            driver.add_termination_listener(lambda _connection: lost.set())
            await driver.add_listener(self._channel, heard)
            while not lost.is_set():
                await self._probe(said, echo)
                if not self.arrive:
                    self.arrive = True
                    tell(None)
                await wait_at_most(lost, PROBE_S)

    async def _probe(self, said: str, echo: asyncio.Event) -> None:
        """Raises NothingHeard."""
        echo.clear()
        async with self._engine.begin() as connection:
            await connection.execute(
                text("select pg_notify(:channel, :said)"), {"channel": self._channel, "said": said}
            )
        if not await wait_at_most(echo, ECHO_S):
            raise NothingHeard("what was said on the channel did not come back; is there a pooler in between?")


async def wait_at_most(event: asyncio.Event, seconds: float) -> bool:
    """Whether it was set in time."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
