"""No migration locks a table for long or breaks the version that still runs; squawk knows what does."""

import io
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import op
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from app.migrate import _config
from app.migrations.phases import Phase

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "app" / "migrations" / "squawk.toml"
REVISIONS = sorted(ScriptDirectory.from_config(_config()).walk_revisions(), key=lambda script: script.revision)
#: What a contract revision is for: nothing that runs uses it any more.
CONTRACTS = {"ban-drop-column", "ban-drop-table", "ban-drop-default", "ban-drop-constraint", "ban-drop-not-null"}
SHORTEST_REASON = 20
EMPTY = 2  # lines: BEGIN and COMMIT


def rendered(upgrade: Callable[[], None]) -> str:
    """The SQL of a revision as `app.migrate` runs it, in a transaction; made without a database."""
    text = io.StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": text, "literal_binds": True}
    )
    with Operations.context(context):
        upgrade()
    return f"BEGIN;\n{text.getvalue()}COMMIT;\n"


def broken_rules(sql: str) -> set[str]:
    """The rules of squawk that SQL breaks."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("squawk")), "--config", str(CONFIG), "--reporter", "json"],
        input=sql,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stderr
    found = json.loads(done.stdout)
    assert bool(found) == bool(done.returncode), done.stderr
    return {one["rule_name"] for one in found}


def refused(sql: str, phase: Phase, accepted: Mapping[str, str]) -> set[str]:
    """What must be mended: broken rules that are not accepted, and acceptances that are not needed or not explained."""
    broken = broken_rules(sql) - (CONTRACTS if phase is Phase.CONTRACT else set())
    return (broken ^ set(accepted)) | {rule for rule, why in accepted.items() if len(why) < SHORTEST_REASON}


def test_there_are_revisions():
    assert [script.revision for script in REVISIONS][:2] == ["0001", "0002"]


@pytest.mark.parametrize("script", REVISIONS, ids=lambda script: script.revision)
def test_no_revision_locks_for_long_or_breaks_the_version_before_it(script):
    sql = rendered(script.module.upgrade)
    assert len(sql.splitlines()) > EMPTY
    wrong = refused(sql, Phase(script.module.PHASE), getattr(script.module, "ACCEPTED", {}))
    assert not wrong, f"{script.path}: {', '.join(sorted(wrong))}; docs/reference/migrations.md says what to do instead"


def new_table_with_an_index():
    op.create_table("notes", sa.Column("id", sa.Uuid, primary_key=True), sa.Column("at", sa.DateTime(timezone=True)))
    op.create_index("notes_at_index", "notes", ["at"])


SAFE: Mapping[str, Callable[[], object]] = {
    "a new table with an index": new_table_with_an_index,
    "a nullable column": lambda: op.add_column("users", sa.Column("nick", sa.String(20))),
    "a column with a constant default": lambda: op.add_column(
        "users", sa.Column("nick", sa.String(20), server_default="", nullable=False)
    ),
    "a check of new rows only": lambda: op.create_check_constraint(
        "c", "users", sa.text("version > 0"), postgresql_not_valid=True
    ),
    "a reference of new rows only": lambda: op.create_foreign_key(
        "f", "posts", "users", ["author_id"], ["id"], postgresql_not_valid=True
    ),
    "the check of the rows before": lambda: op.execute("ALTER TABLE users VALIDATE CONSTRAINT c"),
}


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("name", SAFE)
def test_what_needs_no_long_lock_is_let_through(name, phase):
    assert refused(rendered(SAFE[name]), phase, {}) == set()


UNSAFE: Mapping[str, Callable[[], object]] = {
    "require-concurrent-index-creation": lambda: op.create_index("i", "users", ["name"]),
    "ban-concurrent-index-creation-in-transaction": lambda: op.create_index(
        "i", "users", ["name"], postgresql_concurrently=True, if_not_exists=True
    ),
    "require-concurrent-index-deletion": lambda: op.drop_index("i", "users"),
    "adding-required-field": lambda: op.add_column("users", sa.Column("nick", sa.String(20), nullable=False)),
    "adding-field-with-default": lambda: op.add_column(
        "users", sa.Column("key", sa.Uuid, server_default=sa.func.gen_random_uuid())
    ),
    "adding-not-nullable-field": lambda: op.alter_column("posts", "body", nullable=False),
    "changing-column-type": lambda: op.alter_column("users", "name", type_=sa.String(50)),
    "renaming-column": lambda: op.alter_column("users", "name", new_column_name="title"),
    "renaming-table": lambda: op.rename_table("users", "people"),
    "constraint-missing-not-valid": lambda: op.create_check_constraint("c", "users", sa.text("version > 0")),
    "adding-foreign-key-constraint": lambda: op.create_foreign_key("f", "posts", "users", ["author_id"], ["id"]),
    "disallowed-unique-constraint": lambda: op.create_unique_constraint("u", "posts", ["title"]),
    "ban-truncate-cascade": lambda: op.execute("TRUNCATE users CASCADE"),
    "syntax-error": lambda: op.execute("ALTER TABEL users"),
}


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("rule", UNSAFE)
def test_what_locks_for_long_is_refused(rule, phase):
    assert rule in refused(rendered(UNSAFE[rule]), phase, {})


DROPS: Mapping[str, Callable[[], object]] = {
    "ban-drop-column": lambda: op.drop_column("users", "name"),
    "ban-drop-table": lambda: op.drop_table("posts"),
    "ban-drop-default": lambda: op.alter_column("users", "name", server_default=None),
    "ban-drop-constraint": lambda: op.drop_constraint("courses_seats_check", "courses"),
    "ban-drop-not-null": lambda: op.alter_column("posts", "body", nullable=True),
}


@pytest.mark.parametrize("rule", DROPS)
def test_what_the_version_before_may_use_goes_in_a_contract_revision_only(rule):
    sql = rendered(DROPS[rule])
    assert refused(sql, Phase.EXPAND, {}) == {rule}
    assert refused(sql, Phase.CONTRACT, {}) == set()


def test_a_rule_may_be_broken_for_a_reason_that_is_told_and_needed():
    index = rendered(UNSAFE["require-concurrent-index-creation"])
    rule, why = "require-concurrent-index-creation", "the table has a hundred rows"
    assert refused(index, Phase.EXPAND, {rule: why}) == set()
    assert refused(index, Phase.EXPAND, {rule: "why not"}) == {rule}
    assert refused(index, Phase.EXPAND, {}) == {rule}
    assert refused(rendered(new_table_with_an_index), Phase.EXPAND, {rule: why}) == {rule}
