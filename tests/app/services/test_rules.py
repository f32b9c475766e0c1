"""What the services keep, order and refuse, beside what an answer shows."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from app.core.database import Source
from app.core.parts import parts_of
from app.core.principals import Role
from app.repositories.idempotency import Claim
from app.repositories.tables import Slice
from app.services import access, enrolments, exports, statistics
from app.services.kinds import NEWEST_FIRST, NO_SUCH_USER, USERS
from app.services.profiles import put_profile
from app.services.resources import Caller, MissingError, RefusedError, Resources

PASSWORD = "correct horse battery"
ANN = {"name": "Ann", "email": "ann@example.test"}
ME = Caller("key:test", "192.0.2.7", "r-7")


@pytest.fixture
def database(client):
    return parts_of(client.application).database


@pytest.fixture
def keyring(client):
    return parts_of(client.application).keyring


@pytest.fixture
def ask(postgres, migrated):
    """Runs a statement beside the service; its rows, if it has any."""

    def run(statement, *values):
        with postgres.admin(migrated) as admin:
            done = admin.execute(statement, values)
            return done.fetchall() if done.description else []

    return run


def made(client, path, **body):
    answer = client.post(f"/v1/{path}", json=body)
    assert answer.status_code in {201, 202}, answer.text
    return answer.json["data"]["id"]


def user(client, name="Ann"):
    return made(client, "users", name=name, email=f"{uuid4().hex}@example.test")


def version(client, place):
    return client.get(f"/v1/{place}").headers["ETag"]


def spied(monkeypatch, database, name):
    """The keyword arguments of each call of a method of the database, from now on."""
    calls, real = [], getattr(database, name)
    monkeypatch.setattr(database, name, lambda work, **given: calls.append(given) or real(work, **given))
    return calls


# Passwords, sessions, keys


def test_a_new_password_leaves_the_role_and_a_new_role_takes_its_place(client, database, ask):
    ann = made(client, "users", **ANN)
    for role, kept in ((None, "viewer"), (Role.EDITOR, "editor"), (None, "editor"), (Role.ADMIN, "admin")):
        access.set_password(database, ME, UUID(ann), PASSWORD, role)
        assert ask("SELECT role FROM credentials") == [(kept,)]


def test_a_login_is_written_down_with_its_place_and_leaves_the_hash(client, database, keyring, ask):
    ann = made(client, "users", **ANN)
    access.set_password(database, ME, UUID(ann), PASSWORD, None)
    before = ask("SELECT password_hash FROM credentials")
    access.login(database, keyring, ME, ANN["email"], PASSWORD)
    assert ask("SELECT password_hash FROM credentials") == before
    told = ask("SELECT actor, host(client_ip::inet), request_id FROM audit_log WHERE action = 'token.login'")
    assert told == [(f"user:{ann}", "192.0.2.7", "r-7")]


def test_a_refresh_token_ends_after_its_time_and_not_before(client, database, keyring, ask):
    ann = made(client, "users", **ANN)
    access.set_password(database, ME, UUID(ann), PASSWORD, None)
    first = access.login(database, keyring, ME, ANN["email"], PASSWORD).refresh_token
    ((left,),) = ask("SELECT expires_at - now() FROM refresh_tokens")
    assert timedelta(days=13) < left <= timedelta(days=14)
    second = access.refresh(database, keyring, ME, first).refresh_token
    ask("UPDATE refresh_tokens SET expires_at = now() - interval '1 second'")
    with pytest.raises(access.NotAuthenticatedError):
        access.refresh(database, keyring, ME, second)


def test_secrets_are_of_256_random_bits(client, database, keyring):
    ann = made(client, "users", **ANN)
    access.set_password(database, ME, UUID(ann), PASSWORD, None)
    in_text = 43  # 32 bytes in base64 without padding
    assert len(access.login(database, keyring, ME, ANN["email"], PASSWORD).refresh_token) == in_text
    _, key = access.create_key(database, ME, "k", ["users:read"])
    assert len(key.rpartition(key.split("_")[1])[2]) == in_text + 1


def test_keys_are_listed_newest_first_and_a_hundred_of_them(database):
    names = [f"k{number}" for number in range(101)]
    for name in names:
        access.create_key(database, ME, name, ["users:read"])
    assert [row["name"] for row in access.list_keys(database)] == names[:0:-1]


def test_who_has_a_key_is_called_by_it(database):
    row, text = access.create_key(database, ME, "k", ["users:read"])
    principal = access.principal_of_key(database, text)
    assert (principal.name, principal.permissions) == (f"key:{row['id']}", frozenset({"users:read"}))


def test_who_must_not_be_judged_by_an_older_row_asks_the_primary(client, database, keyring, monkeypatch):
    ann = made(client, "users", **ANN)
    access.set_password(database, ME, UUID(ann), PASSWORD, None)
    _, key = access.create_key(database, ME, "k", ["users:read"])
    export = UUID(made(client, "exports", kind="users"))
    owner = "key:bootstrap"
    asked = spied(monkeypatch, database, "read")

    def preferred(work):
        asked.clear()
        work()
        return [given.get("prefer") for given in asked]

    primary, any_one = [Source.PRIMARY], [None]
    assert preferred(lambda: access.login(database, keyring, ME, ANN["email"], PASSWORD)) == primary
    assert preferred(lambda: access.principal_of_key(database, key)) == any_one
    assert preferred(lambda: exports.get(database, owner, export)) == primary
    assert preferred(lambda: exports.build(database, export, None)) == primary + any_one
    with pytest.raises(access.NotAuthenticatedError):
        access.principal_of_key(database, f"{key}x")
    assert [given.get("prefer") for given in asked[-2:]] == any_one + primary


def test_what_was_done_can_be_asked_after_unless_it_can_be_repeated(client, database, monkeypatch):
    resources = Resources(database, parts_of(client.application).cache, USERS, ME)
    written = spied(monkeypatch, database, "write")
    ann = resources.create(ANN, None).record["id"]
    resources.change(ann, {"name": "Anna"}, None)
    put_profile(database, ME, ann, {"bio": "I learn"})
    exports.order(database, ME, exports.Exported.USERS, exports.FileForm.CSV)
    resources.delete(ann, None)
    resources.create(ANN, Claim("key:test POST /v1/users", "k", b"digest"))
    monkeypatch.undo()
    assert [given.get("was_done") and database.write(given["was_done"]) for given in written] == [True] * 5 + [None]
    assert [given.get("repeatable", False) for given in written] == [False] * 5 + [True]


def test_a_row_that_a_replica_does_not_have_is_looked_for_on_the_primary(client, database, monkeypatch):
    resources = Resources(database, parts_of(client.application).cache, USERS, ME)
    asked = spied(monkeypatch, database, "read")
    with pytest.raises(MissingError, match="user"):
        resources.get(uuid4())
    assert asked == [{}, {"prefer": Source.PRIMARY}]


def test_a_creation_says_whether_it_was_one(client, database):
    resources = Resources(database, parts_of(client.application).cache, USERS, ME)
    claim = Claim("key:test POST /v1/users", "k", b"digest")
    assert [resources.create(ANN, claim).replayed for _ in range(2)] == [False, True]


def test_a_page_reads_one_row_more_than_it_shows_and_there_is_more_only_if_that_is_there(client, database, monkeypatch):
    resources = Resources(database, parts_of(client.application).cache, USERS, ME)
    asked, page = [], exports.tables.page
    monkeypatch.setattr(exports.tables, "page", lambda *given: asked.append(given[-1].limit) or page(*given))
    for _ in range(3):
        user(client)
    pages = [resources.page(Slice(("id", "created_at"), NEWEST_FIRST, limit)) for limit in (2, 3, 4)]
    assert [(len(it.records), it.more) for it in pages] == [(2, True), (3, False), (3, False)]
    assert asked == [3, 4, 5]


def test_a_refusal_is_named_by_its_code():
    assert str(RefusedError(NO_SUCH_USER)) == "no_such_user"


# Enrolments


def test_who_comes_and_goes_counts_for_one_course_and_changes_its_version(client, database, ask):
    ann, bob = user(client), user(client)
    rust, python = (made(client, "courses", title=title, seats=2) for title in ("Rust", "Python"))
    for number, (course, student) in enumerate(((rust, ann), (rust, bob), (python, ann))):
        enrolments.enrol(database, ME, UUID(course), UUID(student))
        assert number > 1 or version(client, f"courses/{rust}") == f'"v{number + 2}"'
    enrolments.end(database, ME, UUID(rust), UUID(ann))
    left = {(str(course), str(student)) for course, student in ask("SELECT course_id, user_id FROM enrolments")}
    assert left == {(rust, bob), (python, ann)}
    assert [version(client, f"courses/{course}") for course in (rust, python)] == ['"v4"', '"v2"']
    assert [client.get(f"/v1/courses/{course}").json["data"]["seats_taken"] for course in (rust, python)] == [1, 1]


def test_an_enrolment_is_one_serializable_unit_and_both_ways_can_be_asked_after(client, database, monkeypatch):
    ann, rust = UUID(user(client)), UUID(made(client, "courses", title="Rust", seats=2))
    written = spied(monkeypatch, database, "write")
    enrolments.enrol(database, ME, rust, ann)
    enrolments.end(database, ME, rust, ann)
    monkeypatch.undo()
    assert [given.get("serializable", False) for given in written] == [True, False]
    assert [database.write(given["was_done"]) for given in written] == [True, True]


def test_students_and_courses_come_by_name_and_then_by_id(client, database):
    """Names go against the ids, and rows are written against both."""
    students = sorted((user(client) for _ in range(5)), reverse=True)
    for student, name in zip(students, ("Ann", "Ann", "Ann", "Bob", "Cy"), strict=True):
        client.patch(f"/v1/users/{student}", json={"name": name})
    courses = sorted((made(client, "courses", title="-", seats=9) for _ in range(5)), reverse=True)
    for course, title in zip(courses, ("Ada", "Ada", "Ada", "Lisp", "Zig"), strict=True):
        client.patch(f"/v1/courses/{course}", json={"title": title})
    first_course, first_student = UUID(courses[0]), UUID(students[0])
    for student in students:
        enrolments.enrol(database, ME, first_course, UUID(student))
    for course in courses[1:]:
        enrolments.enrol(database, ME, UUID(course), first_student)
    by_name = [(row["name"], row["id"]) for row in enrolments.students_of(database, first_course)]
    by_title = [(row["title"], row["id"]) for row in enrolments.courses_of(database, first_student)]
    assert (by_name, by_title) == (sorted(by_name), sorted(by_title))
    assert [len(by_name), len(by_title)] == [5, 5]


# Exports and statistics


def test_an_export_is_one_of_several_and_tells_how_far_it_is(client, database, monkeypatch, ask):
    for _ in range(5):
        user(client)
    mine, other = (UUID(made(client, "exports", kind="users")) for _ in range(2))
    steps, page = [], exports.tables.page

    def read(*given):
        steps.append(ask("SELECT rows, version FROM exports WHERE id = %s", mine))
        return page(*given)

    monkeypatch.setattr(exports, "_STEP", 2)
    monkeypatch.setattr(exports.tables, "page", read)
    exports.build(database, mine, "r-1")
    assert steps == [[(0, 1)], [(2, 2)], [(4, 3)]]
    assert ask("SELECT count(*) FROM messages WHERE topic = 'export.finished'") == [(1,)]
    shown = exports.get(database, "key:bootstrap", mine)
    assert (shown["id"], shown["rows"], shown["version"]) == (mine, 5, 4)
    assert exports.get(database, "key:bootstrap", other)["rows"] == 0


def test_the_order_of_an_export_is_told_with_its_request(database, ask):
    exports.order(database, ME, exports.Exported.USERS, exports.FileForm.CSV)
    assert ask("SELECT trace FROM messages WHERE topic = 'export.ordered'") == [("r-7",)]


def test_a_file_has_times_as_iso_8601_and_no_cell_that_a_spreadsheet_would_run():
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    rows = [{"name": name, "at": at} for name in ("Ann", "=1+1", "+1", "-1", "@x", "\tx")]
    head, *lines = exports.written(exports.FileForm.CSV, ("name", "at"), rows).decode().splitlines()
    assert head == "name,at"
    time = "2026-01-02T03:04:05+00:00"
    assert lines == [f"{name},{time}" for name in ("Ann", "'=1+1", "'+1", "'-1", "'@x", "'\tx")]


def test_an_export_is_gone_after_its_hour(client, database, ask):
    export = UUID(made(client, "exports", kind="users"))
    ask("UPDATE exports SET expires_at = now() - interval '1 second'")
    with pytest.raises(MissingError):
        exports.get(database, "key:bootstrap", export)


def test_the_most_wanted_courses_are_five_that_somebody_takes(client, database):
    cache = parts_of(client.application).cache
    courses = [made(client, "courses", title=f"C{number}", seats=9) for number in range(7)]
    students = [UUID(user(client)) for _ in range(2)]
    enrolments.enrol(database, ME, UUID(courses[0]), students[0])
    assert [row["title"] for row in statistics.of_courses(database, cache)["most_wanted"]] == ["C0"]
    for number in (6, 5, 4, 3):
        enrolments.enrol(database, ME, UUID(courses[number]), students[0])
    for number in (2, 6):
        enrolments.enrol(database, ME, UUID(courses[number]), students[1])
    wanted = statistics.of_courses(database, cache)["most_wanted"]
    assert [(row["title"], row["seats_taken"]) for row in wanted] == [
        ("C6", 2), ("C0", 1), ("C2", 1), ("C3", 1), ("C4", 1),
    ]  # fmt: skip
