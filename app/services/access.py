"""Passwords, tokens and API keys: how one becomes a principal."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from app.core.database import Database, Source
from app.core.passwords import hash_password, is_outdated, verify_password
from app.core.principals import Principal, Role
from app.core.tokens import Keyring
from app.models import ApiKey, Credential, RefreshToken, User, table_of
from app.repositories.audit import audited, entry
from app.repositories.tables import Record
from app.services.kinds import NO_SUCH_USER
from app.services.resources import Caller, MissingError, RefusedError, refusing

_CREDENTIALS, _REFRESH, _KEYS, _USERS = (table_of(model) for model in (Credential, RefreshToken, ApiKey, User))
_REFRESH_LIFETIME = timedelta(days=14)
_KEY_PREFIX = "swk_"


class NotAuthenticatedError(Exception):
    """Whoever asks is not who they say, or does not say it."""


@dataclass(frozen=True)
class Session:
    """What a login gives.

    Attributes:
        access_token: JWT.
        refresh_token: good for one refresh.
    """

    access_token: str
    refresh_token: str


def digest(secret: str) -> bytes:
    """Return what is stored of a secret with 256 random bits; such a secret needs no slow hash."""
    return hashlib.sha256(secret.encode()).digest()


def set_password(database: Database, caller: Caller, user_id: UUID, password: str, role: Role | None) -> None:
    """Set a user's password; the role stays as it is for None (a new one is viewer). Every session of the user ends.

    Raises:
        MissingError: there is no such user.
    """
    hashed = hash_password(password)
    act = caller.does("credential.set", user_id)
    row = upsert(_CREDENTIALS).values(user_id=user_id, password_hash=hashed, role=role or Role.VIEWER)
    changes = {"password_hash": hashed, **({} if role is None else {"role": role})}
    statement = row.on_conflict_do_update(index_elements=["user_id"], set_=changes)

    def work(connection: Connection) -> None:
        connection.execute(statement.add_cte(audited(act)))
        connection.execute(delete(_REFRESH).where(_REFRESH.c.user_id == user_id))

    try:
        refusing(
            {"credentials_user_id_fkey": NO_SUCH_USER},
            lambda: database.write(work),
        )
    except RefusedError as error:
        raise MissingError("user") from error


def login(database: Database, keyring: Keyring, caller: Caller, email: str, password: str) -> Session:
    """Return a session for a user with this address and password.

    Raises:
        NotAuthenticatedError: no such pair; takes as long for an unknown address as for a wrong password.
    """
    query = (
        select(_CREDENTIALS.c.user_id, _CREDENTIALS.c.password_hash, _CREDENTIALS.c.role)
        .join(_USERS)
        .where(func.lower(_USERS.c.email) == email.lower())
    )
    found = database.read(lambda connection: connection.execute(query).mappings().one_or_none(), prefer=Source.PRIMARY)
    right = verify_password(password, None if found is None else found["password_hash"])
    if found is None or not right:
        refusal = caller.does("token.refused", "unknown" if found is None else found["user_id"])
        database.write(lambda connection: connection.execute(entry(refusal)))
        raise NotAuthenticatedError
    user_id = found["user_id"]
    stored = hash_password(password) if is_outdated(found["password_hash"]) else found["password_hash"]
    act = Caller(f"user:{user_id}", caller.client_ip, caller.request_id).does("token.login", user_id)

    def work(connection: Connection) -> str:
        connection.execute(entry(act))
        if stored != found["password_hash"]:
            connection.execute(
                update(_CREDENTIALS).where(_CREDENTIALS.c.user_id == user_id).values(password_hash=stored)
            )
        return _new_refresh_token(connection, user_id, uuid4(), act.at)

    return Session(keyring.issue(user_id, Role(found["role"]), act.at), database.write(work))


def refresh(database: Database, keyring: Keyring, caller: Caller, token: str) -> Session:
    """Exchange a refresh token for a new session. A token that comes twice was stolen: its whole family ends.

    Raises:
        NotAuthenticatedError: unknown, expired or used before.
    """
    now = datetime.now(UTC)
    mine = _REFRESH.c.hash == digest(token)

    def work(connection: Connection) -> Session | None:
        used = connection.execute(
            update(_REFRESH)
            .where(mine, _REFRESH.c.used_at.is_(None), _REFRESH.c.expires_at > now)
            .values(used_at=now)
            .returning(_REFRESH.c.user_id, _REFRESH.c.family)
        ).one_or_none()
        if used is None:
            family = connection.execute(select(_REFRESH.c.family).where(mine)).scalar_one_or_none()
            if family is not None:
                connection.execute(delete(_REFRESH).where(_REFRESH.c.family == family))
                connection.execute(entry(caller.does("token.reused", family)))
            return None
        user_id, family = used
        role = connection.execute(select(_CREDENTIALS.c.role).where(_CREDENTIALS.c.user_id == user_id)).scalar_one()
        return Session(keyring.issue(user_id, Role(role), now), _new_refresh_token(connection, user_id, family, now))

    session = database.write(work)  # committed also when refused: the family must stay ended
    if session is None:
        raise NotAuthenticatedError
    return session


def create_key(database: Database, caller: Caller, name: str, scopes: Sequence[str]) -> tuple[Record, str]:
    """Make an API key; return its row and its text, which nobody can read again."""
    key_id = uuid4()
    text = f"{_KEY_PREFIX}{key_id.hex}_{secrets.token_urlsafe(32)}"
    act = caller.does("key.create", key_id)
    row = {"id": key_id, "name": name, "scopes": sorted(set(scopes)), "created_at": act.at}
    statement = insert(_KEYS).values(**row, hash=digest(text)).add_cte(audited(act))
    database.write(lambda connection: connection.execute(statement))
    return row, text


def list_keys(database: Database) -> Sequence[Record]:
    """Return the API keys, newest first, without what could be used."""
    query = (
        select(_KEYS.c.id, _KEYS.c.name, _KEYS.c.scopes, _KEYS.c.created_at)
        .order_by(_KEYS.c.created_at.desc())
        .limit(100)
    )
    return [dict(row) for row in database.read(lambda connection: connection.execute(query).mappings().all())]


def delete_key(database: Database, caller: Caller, key_id: UUID) -> None:
    """End an API key; processes that have just seen it may accept it a few seconds longer.

    Raises:
        MissingError: there is none.
    """
    statement = delete(_KEYS).where(_KEYS.c.id == key_id).add_cte(audited(caller.does("key.delete", key_id)))

    def work(connection: Connection) -> None:
        if connection.execute(statement).rowcount == 0:
            raise MissingError("key")

    database.write(work)


def principal_of_key(database: Database, text: str) -> Principal:
    """Return the principal of an API key.

    Raises:
        NotAuthenticatedError: there is no such key.
    """
    query = select(_KEYS.c.id, _KEYS.c.scopes).where(_KEYS.c.hash == digest(text))

    def work(connection: Connection) -> tuple[UUID, list[str]] | None:
        row = connection.execute(query).one_or_none()
        return None if row is None else (row.id, row.scopes)

    found = database.read(work) or database.read(work, prefer=Source.PRIMARY)
    if found is None:
        raise NotAuthenticatedError
    return Principal(f"key:{found[0]}", frozenset(found[1]))


def _new_refresh_token(connection: Connection, user_id: UUID, family: UUID, now: datetime) -> str:
    token = secrets.token_urlsafe(32)
    connection.execute(
        insert(_REFRESH).values(hash=digest(token), family=family, user_id=user_id, expires_at=now + _REFRESH_LIFETIME)
    )
    return token
