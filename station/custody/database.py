"""Opens the station's database and brings its tables up to date."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from station.errors import StationError

_MIGRATIONS = Path(__file__).resolve().parent / "migrations"
_BUSY_MS = 10_000


class DatabaseError(StationError):
    """The database cannot be used now; nothing was changed."""


class Database:
    """One database. Thread-safe; several stations may share it."""

    def __init__(self, url: str) -> None:
        """Connect and migrate; ``sqlite:///path`` or ``postgresql+psycopg://...``.

        Raises:
            DatabaseError: not a URL, not reachable, or newer than this program.
        """
        try:
            self.engine: Engine = create_engine(url, pool_pre_ping=True)
        except (ArgumentError, ModuleNotFoundError) as error:
            raise DatabaseError(f"that is no database's URL: {_line(error)}") from None
        # SQLite lets one write at a time, and makes others sleep and look again; here they wait in order instead.
        self._turn: AbstractContextManager[object] = nullcontext()
        if self.engine.dialect.name == "sqlite":
            self._turn = threading.RLock()
        self._sqlite = self.engine.dialect.name == "sqlite"
        if self._sqlite:
            event.listen(self.engine, "connect", _prepare)
            event.listen(self.engine, "begin", _begin)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        try:
            self._migrate()
        except SQLAlchemyError as error:
            raise DatabaseError(f"the database does not answer: {_line(error)}") from None
        except Exception as error:
            # Alembic's own errors share no class: a revision that this program does not know, for one.
            raise DatabaseError(f"the database's tables are not this program's: {_line(error)}") from error

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Open a transaction: committed at the end, or rolled back as a whole.

        Raises:
            DatabaseError: locked for too long, gone, or it refuses.
        """
        try:
            with self._turn, self._sessions.begin() as session:
                yield session
        except SQLAlchemyError as error:
            raise DatabaseError(f"the database refuses, and nothing was changed: {_line(error)}") from None

    def close(self) -> None:
        """Let go of it. Idempotent."""
        self.engine.dispose()

    def _migrate(self) -> None:
        # Here and not above: what opens no database does not wait for it.
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        with self.engine.begin() as connection:
            if not self._sqlite:
                # Two stations that start at once migrate one after the other.
                connection.execute(text("SELECT pg_advisory_xact_lock(7461)"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def _prepare(connection: Any, _record: object) -> None:
    # The driver's own transactions would begin too late to keep two writers apart.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA secure_delete=ON")
    cursor.close()


def _begin(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _line(error: BaseException) -> str:
    return next(iter(str(getattr(error, "orig", None) or error).strip().splitlines()), type(error).__name__)
