"""Engines on a metadata database, and errors that say what is wrong with it.

Two databases mean the same here. SQLite runs in WAL with full synchronisation and begins explicitly (``BEGIN
IMMEDIATE`` to write): left to itself, the driver commits where a savepoint is released. PostgreSQL reads in
one snapshot a transaction, as SQLite does, and gives up a lock or a statement after a time. A pooled
connection is not asked whether it still lives, which would double the cost of a small read: the first
statement on a dead one empties the pool, and whoever made it tries again (`may_be_repeated`). Knows no tables
and no threads.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from carnet.errors import CarnetError, ConflictError, InvalidInputError, StorageFullError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

BUSY_TIMEOUT_MS = 10_000
LOCK_TIMEOUT_MS = 10_000
STATEMENT_TIMEOUT_MS = 60_000
IDLE_IN_TRANSACTION_TIMEOUT_MS = 60_000
CONNECT_TIMEOUT_SECONDS = 5
POOL_TIMEOUT_SECONDS = 10
_POSTGRESQL = "postgresql+psycopg"
_FIELD = {"field": "database"}
_SERIALIZATION_FAILURE = "40001"
_DEADLOCK_DETECTED = "40P01"
_FULL = frozenset({"53100"})
_REFUSED_AT_CONNECT = (
    ("password authentication failed", "check its user and password"),
    ("no password supplied", "give a password: in the URL, in PGPASSWORD or by ?passfile="),
    ("does not exist", "create it, or correct the name"),
    ("no pg_hba.conf entry", "let this host in, or use ?sslmode=require"),
    ("server does not support SSL", "drop sslmode, or turn on TLS at the server"),
    ("certificate verify failed", "check ?sslrootcert="),
    ("permission denied", "grant it"),
    ("invalid connection option", "correct the URL's parameters"),
    ("invalid sslmode value", "correct the URL's parameters"),
)

Isolation = Literal["READ COMMITTED", "SERIALIZABLE"]


def resolve_database_url(url: str, folder: Path) -> str:
    """Return a database URL with its driver named and, of SQLite, with an absolute path.

    Args:
        url: ``sqlite:///PATH`` or ``postgresql://USER[:PASSWORD]@HOST[:PORT]/NAME[?libpq parameters]``.
        folder: What a relative path is relative to.

    Raises:
        InvalidInputError: The URL is malformed, or of a database that is not supported; no password is shown.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise InvalidInputError(
            "database: not a URL such as sqlite:///data/registry.db or postgresql://carnet@db.internal/carnet",
            metadata=_FIELD,
        ) from error
    if parsed.drivername in ("postgresql", "postgres", _POSTGRESQL):
        return _resolve_postgresql(parsed)
    if parsed.get_backend_name() == "postgresql":
        raise InvalidInputError(
            f"database: the driver in {parsed.drivername}:// is not supported; write postgresql://",
            metadata=_FIELD,
        )
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise InvalidInputError(
            f"database: {parsed.drivername} is not supported; use sqlite:///PATH or "
            "postgresql://USER@HOST/NAME",
            metadata=_FIELD,
        )
    if parsed.host or parsed.username or parsed.query:
        raise InvalidInputError(
            "database: of SQLite only a path is given, behind three slashes: sqlite:///PATH", metadata=_FIELD
        )
    if not parsed.database or parsed.database == ":memory:":
        raise InvalidInputError("database: a file is needed: sqlite:///PATH", metadata=_FIELD)
    return parsed.set(database=str(folder / parsed.database)).render_as_string(hide_password=False)


def _resolve_postgresql(parsed: URL) -> str:
    if not parsed.database:
        raise InvalidInputError("database: its name is wanting: postgresql://USER@HOST/NAME", metadata=_FIELD)
    return parsed.set(drivername=_POSTGRESQL).render_as_string(hide_password=False)


def shown_url(url: str) -> str:
    """Return a database URL for people: without its password.

    Args:
        url: A URL that was resolved.
    """
    parsed = make_url(url)
    if parsed.drivername == _POSTGRESQL:
        parsed = parsed.set(drivername="postgresql")
    secret = {name: "hidden" for name in parsed.query if "password" in name}
    return parsed.update_query_dict(secret).render_as_string(hide_password=True)


def open_engine(
    url: str, *, connections: int, read_only: bool = False, isolation: Isolation = "READ COMMITTED"
) -> Engine:
    """Open an engine; no connection is made yet.

    Args:
        url: A URL that was resolved; of SQLite's path, the folder is made if need be.
        connections: How many connections at most; who finds all of them busy waits, ten seconds at most.
        read_only: Whether they refuse to change anything, and read in one snapshot a transaction.
        isolation: How PostgreSQL keeps writing transactions apart; SQLite has one writer at a time.

    Raises:
        InvalidInputError: The URL is malformed, or its driver is not installed.
        UnavailableError: The database's folder cannot be made.
    """
    try:
        if make_url(url).get_backend_name() == "sqlite":
            engine = create_engine(
                url, pool_size=connections, max_overflow=0, pool_timeout=POOL_TIMEOUT_SECONDS
            )
        else:
            engine = _create_postgresql_engine(url, connections, read_only=read_only, isolation=isolation)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise InvalidInputError(f"database: the URL cannot be used: {error}", metadata=_FIELD) from error
    if engine.dialect.name == "sqlite":
        _make_folder(engine)
        _configure_sqlite(engine, read_only=read_only)
    return engine


def _create_postgresql_engine(url: str, connections: int, *, read_only: bool, isolation: Isolation) -> Engine:
    parsed = make_url(url)
    settings = {
        "lock_timeout": LOCK_TIMEOUT_MS,
        "statement_timeout": STATEMENT_TIMEOUT_MS,
        "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_TIMEOUT_MS,
    }
    theirs = parsed.query.get("options", "")
    engine = create_engine(
        parsed.difference_update_query(["options"]),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_SECONDS,
        isolation_level="REPEATABLE READ" if read_only else isolation,
        use_native_hstore=False,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "application_name": "carnet",
            "client_encoding": "utf8",
            # With the first message, so that no connection is ever without them; the URL's own come last.
            "options": " ".join([*(f"-c {name}={value}" for name, value in settings.items()), str(theirs)]),
            # A peer that vanished without a word is noticed in about half a minute.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 4,
            "tcp_user_timeout": 30_000,
        },
    )
    return engine.execution_options(postgresql_readonly=True) if read_only else engine


def _make_folder(engine: Engine) -> None:
    try:
        Path(str(engine.url.database)).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnavailableError(f"the database's folder cannot be made: {error}") from error


def _configure_sqlite(engine: Engine, *, read_only: bool) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            # What is deleted is overwritten, in the file too: what was erased must not be found there.
            "secure_delete=ON",
            f"query_only={'ON' if read_only else 'OFF'}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    begin = "BEGIN" if read_only else "BEGIN IMMEDIATE"

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)


def may_be_repeated(error: BaseException) -> bool:
    """Tell whether a transaction that failed with an error was undone whole and may simply be made again.

    That is so of a serialization failure and a deadlock, which PostgreSQL ends by undoing one of the
    transactions, and of a connection that was lost, unless it was lost while committing: whoever asks knows
    whether that was the moment.

    Args:
        error: What a statement, but not a commit, failed with.
    """
    if not isinstance(error, DBAPIError):
        return False
    return bool(error.connection_invalidated) or _sqlstate(error) in (
        _SERIALIZATION_FAILURE,
        _DEADLOCK_DETECTED,
    )


def was_undone(error: BaseException) -> bool:
    """Tell whether a commit that failed with an error surely changed nothing.

    Args:
        error: What the commit failed with.
    """
    return isinstance(error, DBAPIError) and not error.connection_invalidated and _sqlstate(error) is not None


def _sqlstate(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)


def _refused_at_connect(error: DBAPIError) -> CarnetError | None:
    """Return the error of a server that answered and refused, which only a change of the URL mends."""
    cause = str(error.orig)
    for phrase, remedy in _REFUSED_AT_CONNECT:
        if phrase in cause:
            said = next(line for line in cause.splitlines() if phrase in line)
            reason = said.rpartition("FATAL:")[2].strip()[:200]
            return InvalidInputError(f"database: {reason}: {remedy}", metadata=_FIELD)
    return None


def _typed(error: DBAPIError) -> CarnetError:
    cause = str(error.orig)
    state = _sqlstate(error)
    first = _first_line(error.orig)
    if "disk is full" in cause or "No space left" in cause or state in _FULL:
        return StorageFullError(
            "the disk of the metadata database is full: nothing was stored; free some room and try again"
        )
    if isinstance(error, DataError):
        return InvalidInputError(f"the metadata database cannot keep a value that was given: {first}")
    if state in (_SERIALIZATION_FAILURE, _DEADLOCK_DETECTED):
        return ConflictError("others changed the same things at the same time: try again")
    return UnavailableError(f"the metadata database failed: {first}")


@contextlib.contextmanager
def typed_database_errors() -> Iterator[None]:
    """Turn the database's own errors into Carnet's within a block.

    Raises:
        StorageFullError: The disk is full.
        InvalidInputError: A value is none that the database can keep.
        ConflictError: PostgreSQL undid the transaction for the sake of another.
        UnavailableError: The database cannot be reached, is locked, or failed otherwise.
    """
    try:
        yield
    except CarnetError:
        raise
    except DBAPIError as error:
        raise _typed(error) from error
    except SQLAlchemyError as error:
        raise UnavailableError(f"the metadata database failed: {type(error).__name__}") from error
    except (UnicodeEncodeError, OverflowError) as error:  # the driver's, before the database sees the value
        raise InvalidInputError(
            f"the metadata database cannot keep a value that was given: {error}"
        ) from error
    except Exception as error:
        # While a connection is being made, a driver's error comes as it is.
        if not _is_of_a_driver(error):
            raise
        raise UnavailableError(f"the metadata database failed: {_first_line(error)}") from error


def _is_of_a_driver(error: Exception) -> bool:
    """Whether an error is a driver's own (PEP 249, ``Error``), without importing any driver."""
    return any(
        base.__name__ == "Error" and base.__module__.partition(".")[0] in ("psycopg", "sqlite3")
        for base in type(error).__mro__
    )


def _first_line(error: object) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]


def require_usable(engine: Engine) -> None:
    """Insist that a database can be reached and lets us in; for the start.

    Args:
        engine: The database's engine.

    Raises:
        InvalidInputError: The server answered and refused (a wrong password, no such database).
        UnavailableError: It cannot be reached.
    """
    try:
        with engine.connect() as connection:
            _require_unicode(connection)
    except DBAPIError as error:
        refused = _refused_at_connect(error)
        if refused is not None:
            raise refused from error
        raise UnavailableError(
            f"database: {shown_url(str(engine.url))} cannot be used: {_first_line(error.orig)}"
        ) from error


def _require_unicode(connection: Connection) -> None:
    if connection.dialect.name != "postgresql":
        return
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
    if encoding != "UTF8":
        raise InvalidInputError(
            f"database: its encoding is {encoding}, which cannot be relied on to keep texts: create it with "
            "ENCODING 'UTF8' TEMPLATE template0",
            metadata=_FIELD,
        )
