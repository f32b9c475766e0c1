"""No two members lead, whatever part of the truth each of them sees; and restarts in any order lose no write."""

from hypothesis import given, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from infra.redis_keeper.decision import (
    Elect,
    Follow,
    Lead,
    Member,
    Stay,
    View,
    Wait,
    Word,
    decide,
    electable,
    elected,
    watched,
)

SIZE = 3
ORDINALS = range(SIZE)
FRESH = st.lists(st.integers(0, 3), min_size=SIZE, max_size=SIZE)
NOBODY = dict.fromkeys(ORDINALS, Word(None))
WORDS = st.builds(Word, st.none() | st.integers(0, 2), st.integers(0, 3), st.booleans())


def view(ordinal, members, words):
    own, peers = members[ordinal], {n: it for n, it in members.items() if n != ordinal}
    return View(ordinal, own, SIZE, peers, words)


def idle(fresh):
    return {n: Member(master=False, fresh=fresh[n]) for n in ORDINALS}


@given(FRESH, st.lists(WORDS, min_size=SIZE, max_size=SIZE), st.data())
def test_at_most_one_member_leads_whatever_part_of_the_truth_each_sees(fresh, words, data):
    # Elections have numbers of their own: two Sentinels that know of the same one name the same master.
    by_epoch = {word.epoch: word.names for word in words if word.names is not None}
    words = [Word(None if w.names is None else by_epoch[w.epoch], w.epoch, w.busy) for w in words]
    leading = []
    for ordinal in ORDINALS:
        reached = data.draw(st.sets(st.integers(0, 2))) | {ordinal}
        heard = data.draw(st.sets(st.integers(0, 2)))
        members = {n: it for n, it in idle(fresh).items() if n in reached}
        if decide(view(ordinal, members, {n: words[n] for n in heard})) == Lead():
            leading.append(ordinal)
    note(f"{leading} lead")
    assert len(leading) <= 1


@given(FRESH)
def test_if_all_are_replicas_and_nobody_remembers_the_freshest_leads(fresh):
    roles = [decide(view(n, idle(fresh), NOBODY)) for n in ORDINALS]
    leader = roles.index(Lead())
    assert fresh[leader] == max(fresh)
    assert all(isinstance(role, Wait) for n, role in enumerate(roles) if n != leader)


@given(st.integers(0, 2), st.integers(0, 2), FRESH)
def test_with_a_master_that_serves_nobody_else_leads(ordinal, master, fresh):
    members = idle(fresh) | {master: Member(master=True, fresh=fresh[master])}
    decision = decide(view(ordinal, members, NOBODY))
    assert decision == (Stay() if ordinal == master else Follow(master))


@given(st.dictionaries(st.integers(0, 2), WORDS, max_size=1), FRESH)
def test_without_a_majority_of_sentinels_nothing_is_done(words, fresh):
    assert isinstance(decide(view(0, idle(fresh), words)), Wait)


@given(FRESH, st.sets(st.integers(1, 2), max_size=1))
def test_silence_is_not_the_absence_of_a_master(fresh, answering):
    members = {n: it for n, it in idle(fresh).items() if n in {0} | answering}
    assert isinstance(decide(view(0, members, NOBODY)), Wait)


def named(ordinal, epoch=1, count=SIZE, *, busy=False):
    return {n: Word(ordinal, epoch, busy) for n in range(count)}


def test_a_master_that_was_started_again_leads_at_once():
    assert decide(view(0, idle([5, 5, 4]), named(0))) == Lead()
    assert decide(view(0, {0: Member(master=False, fresh=5)}, named(0, count=2))) == Lead()


def test_a_member_leaves_the_mastership_to_another_that_serves():
    members = idle([5, 5, 5]) | {2: Member(master=True, fresh=5)}
    assert "elect anew" in decide(view(0, members, named(0))).reason


def test_a_member_does_not_lead_while_the_sentinels_elect():
    assert "about to elect" in decide(view(0, idle([5, 5, 5]), named(0, busy=True))).reason


def test_a_member_that_lost_its_data_has_another_elected():
    assert isinstance(decide(view(0, idle([0, 5, 5]), named(0))), Elect)
    assert isinstance(decide(view(0, idle([4, 5, 0]), named(0))), Elect)


def test_an_empty_member_does_not_lead_while_one_that_may_hold_data_is_silent():
    members = {n: it for n, it in idle([0, 0, 0]).items() if n < 2}
    assert "empty" in decide(view(0, members, named(0))).reason


def test_a_member_that_follows_a_silent_one_does_not_lead_on_an_old_word():
    members = {0: Member(master=False, follows=1, fresh=5), 2: Member(master=False, fresh=5)}
    assert "told to follow 1" in decide(view(0, members, named(0))).reason


def test_a_master_that_was_replaced_follows():
    members = idle([5, 6, 6]) | {0: Member(master=True, fresh=5), 1: Member(master=True, fresh=6)}
    assert decide(view(0, members, named(1, epoch=2))) == Follow(1)


def test_a_member_that_was_just_promoted_goes_on_until_most_sentinels_know():
    promoted = Member(master=True, fresh=5)
    assert "just promote" in decide(view(1, idle([5, 5, 5]) | {1: promoted}, named(0))).reason
    both = idle([5, 5, 5]) | {1: promoted, 0: Member(master=True, fresh=5)}
    assert isinstance(decide(view(1, both, named(0, busy=True))), Wait)
    assert decide(view(1, both, named(0))) == Follow(0)


def test_the_newest_election_counts_and_only_with_a_majority():
    words = {0: Word(0, 1), 1: Word(0, 1), 2: Word(2, 2)}
    assert elected(view(0, idle([1, 1, 1]), words)) is None
    assert elected(view(0, idle([1, 1, 1]), {**words, 1: Word(2, 2)})) == 2


def test_an_old_majority_may_be_about_to_lead_so_nobody_else_does():
    words = {0: Word(0, 1), 1: Word(0, 1), 2: Word(2, 2)}
    assert decide(view(0, idle([1, 1, 2]), {n: words[n] for n in (0, 1)})) == Elect(
        "the Sentinels name this member, but the data of [2] is fresher"
    )
    assert decide(view(0, idle([2, 1, 1]), {n: words[n] for n in (0, 1)})) == Lead()
    assert "to hear of an election" in decide(view(2, idle([1, 1, 2]), words)).reason


def test_two_masters_and_no_majority_are_left_to_the_sentinels():
    members = idle([1, 1, 1]) | {n: Member(master=True) for n in (1, 2)}
    assert "[1, 2] all serve" in decide(view(0, members, NOBODY)).reason


def test_only_a_sentinel_that_knows_nobody_is_told():
    members = idle([1, 1, 1]) | {1: Member(master=True)}
    assert watched(view(0, members, NOBODY)) == 1
    assert watched(view(0, members, {**NOBODY, 0: Word(2)})) is None
    assert watched(view(0, idle([1, 1, 1]), {**named(2), 0: Word(None)})) == 2
    assert watched(view(0, idle([1, 1, 1]), NOBODY)) is None


@given(FRESH, st.sets(st.integers(1, 2)))
def test_sentinels_may_elect_only_who_loses_nothing_that_another_has(fresh, answering):
    members = {n: it for n, it in idle(fresh).items() if n in {0} | answering}
    for words, silent in ((NOBODY, set(ORDINALS) - set(members)), (named(2), {1} - set(members))):
        best = max(it.fresh for it in members.values())
        assert electable(view(0, members, words)) == (not silent and fresh[0] == best > 0)
    follower = {**members, 0: Member(master=False, follows=2, linked=True)}
    assert electable(view(0, follower, named(2)))


class Set(RuleBasedStateMachine):
    """Three members with a Sentinel each: processes die and start in any order, one volume at a time is lost.

    Sentinels are modelled by what they promise: two that hold the master for down elect one of the members that may
    be elected, tell each other, and convert who calls itself master beside that one.
    """

    def __init__(self):
        super().__init__()
        self.redis = dict.fromkeys(ORDINALS)  # what runs
        self.disk = dict.fromkeys(ORDINALS, 0)  # what was written, as a count of writes
        self.priority = dict.fromkeys(ORDINALS, 0)
        self.up = set()  # Sentinels
        self.words = dict(NOBODY)  # theirs, on the same volumes
        self.written = 0
        self.acknowledged = 0
        self.for_certain = set(ORDINALS)

    def members(self):
        return {
            n: Member(it.master, it.follows, self.linked(n), self.disk[n])
            for n, it in self.redis.items()
            if it is not None
        }

    def linked(self, n):
        it = self.redis[n]
        return it is not None and it.follows is not None and self.serves(it.follows)

    def serves(self, n):
        return self.redis[n] is not None and self.redis[n].master

    def masters(self):
        return [n for n in ORDINALS if self.serves(n)]

    @rule(n=st.integers(0, 2))
    def start_redis(self, n):
        if self.redis[n] is None:
            self.redis[n], self.priority[n] = Member(master=False), 0

    @rule(n=st.integers(0, 2))
    def kill_redis(self, n):
        self.redis[n] = None

    @rule(n=st.integers(0, 2))
    def start_sentinel(self, n):
        self.up.add(n)
        self.gossip()

    @rule(n=st.integers(0, 2))
    def kill_sentinel(self, n):
        self.up.discard(n)

    @rule()
    def kill_all(self):
        self.redis = dict.fromkeys(ORDINALS)
        self.up = set()

    @rule(n=st.integers(0, 2))
    @precondition(lambda self: self.masters())
    def lose_volume(self, n):
        """Of a member that another one equals and that is back before the next is lost; else data is lost for good."""
        whole = [m for m in ORDINALS if self.redis[m] is not None and self.disk[m] == self.written]
        if len(self.up) == SIZE and whole == list(ORDINALS) and all(self.words[m].names is not None for m in ORDINALS):
            self.redis[n], self.disk[n], self.words[n] = None, 0, Word(None)
            self.up.discard(n)

    @rule()
    def write(self):
        """A master that has a replica acknowledges; both hold it."""
        for n in self.masters():
            linked = [m for m in ORDINALS if self.linked(m) and self.redis[m].follows == n]
            if linked:
                self.written += 1
                self.acknowledged = self.written
                for m in (n, *linked):
                    self.disk[m] = self.written

    @rule(n=st.integers(0, 2))
    def keeper(self, n):
        if self.redis[n] is None:
            return
        words = {m: self.words[m] for m in self.up}
        seen = view(n, self.members(), words)
        decision = decide(seen)
        self.priority[n] = 100 if decision == Lead() or electable(seen) else 0
        match decision:
            case Lead():
                self.redis[n] = Member(master=True)
            case Follow(m):
                self.follow(n, m)
            case Elect():
                self.elect(forced=True)
        known = n if decision == Lead() else watched(seen)
        if n in self.up and self.words[n].names is None and known is not None:
            self.words[n] = Word(known, 0)

    def follow(self, n, m):
        self.redis[n] = Member(master=False, follows=m)
        self.sync()

    def sync(self):
        for n in ORDINALS:
            if self.linked(n):
                self.disk[n] = self.disk[self.redis[n].follows]

    def gossip(self):
        """What one knows of the newest election, all know that are up."""
        known = [self.words[n] for n in self.up if self.words[n].names is not None]
        if known:
            newest = max(known, key=lambda word: word.epoch)
            for n in self.up:
                if self.words[n].names is not None:
                    self.words[n] = newest

    @rule()
    def elect(self, *, forced=False):
        name = elected(View(0, Member(master=False), SIZE, {}, {n: self.words[n] for n in self.up}))
        if name is None or (self.serves(name) and not forced):
            return
        able = [n for n in ORDINALS if n != name and self.redis[n] is not None and self.priority[n]]
        if able:
            best = max(able, key=lambda n: (self.disk[n], n))
            self.redis[best] = Member(master=True)
            epoch = max(word.epoch for word in self.words.values()) + 1
            for n in self.up:
                if self.words[n].names is not None:
                    self.words[n] = Word(best, epoch)

    @rule()
    def convert(self):
        """Sentinels turn everyone to the master that they name, if it serves."""
        name = elected(View(0, Member(master=False), SIZE, {}, {n: self.words[n] for n in self.up}))
        if name is not None and self.serves(name):
            for n in ORDINALS:
                if n != name and self.redis[n] is not None:
                    self.follow(n, name)

    @invariant()
    def at_most_one_member_serves(self):
        assert len(self.masters()) <= 1

    @invariant()
    def the_master_holds_every_acknowledged_write(self):
        for n in self.masters():
            assert self.disk[n] == self.acknowledged, f"member {n} serves with write {self.disk[n]}"

    @rule()
    def pass_time(self):
        """Nothing dies for a while."""
        for _ in range(2 * SIZE):
            for n in ORDINALS:
                self.keeper(n)
            self.gossip()
            self.elect()
            self.convert()

    @rule()
    def start_all(self):
        for n in ORDINALS:
            self.start_redis(n)
            self.start_sentinel(n)

    def teardown(self):
        """Everything is started again: one master is there soon, with everything, and the others follow it."""
        self.start_all()
        self.pass_time()
        assert len(self.masters()) == 1
        self.the_master_holds_every_acknowledged_write()
        (master,) = self.masters()
        assert all(self.linked(n) for n in ORDINALS if n != master)
        assert {self.words[n].names for n in ORDINALS} == {master}


test_restarts_in_any_order_end_with_one_master_that_lost_nothing = Set.TestCase
Set.TestCase.settings = settings(max_examples=150, stateful_step_count=30)
