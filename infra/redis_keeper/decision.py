"""Which role one member of a replicated Redis takes: pure functions.

Leading on the word of the Sentinels takes a majority that names this member, by the newest election that is known.
Leading without them takes an answer of every member and of every Sentinel, and no majority among those. The two
cannot hold at once, so two members with different parts of the truth never both claim to be master. No answer is never
read as "there is no master", and a member whose data is older never leads while a fresher one answers.

How fresh data is, is told by the data: the master's keeper writes the time into it, again and again, and it travels
with all other writes. Offsets cannot tell: a restart forgets them.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Member:
    """What a Redis says of itself.

    Attributes:
        master: It serves as master.
        follows: Ordinal of the member that it is told to follow; None for nobody, or for a stranger.
        linked: It follows, and its master sends it every write.
        fresh: When its data was last written to, in milliseconds by the master's clock; 0 is a member without data.
    """

    master: bool
    follows: int | None = None
    linked: bool = False
    fresh: int = 0


@dataclass(frozen=True)
class Word:
    """What a Sentinel says.

    Attributes:
        names: Ordinal of the master that it knows; None if it knows none.
        epoch: Number of the election by which that one became master; higher is newer.
        busy: It holds that the master is down, or is electing another.
    """

    names: int | None
    epoch: int = 0
    busy: bool = False


@dataclass(frozen=True)
class View:
    """All that one member knows; only answers, never guesses.

    Attributes:
        ordinal: Its own number in the set, from 0.
        own: What its own Redis says.
        size: How many members there are; each has a Sentinel.
        peers: The other members that answered, by ordinal.
        words: The Sentinels that answered, by ordinal.
    """

    ordinal: int
    own: Member
    size: int
    peers: Mapping[int, Member]
    words: Mapping[int, Word]

    @property
    def quorum(self) -> int:
        """Sentinels that make a majority."""
        return self.size // 2 + 1

    @property
    def members(self) -> dict[int, Member]:
        """All members that answered, this one among them."""
        return {**self.peers, self.ordinal: self.own}

    @property
    def busy(self) -> bool:
        """Whether any Sentinel is about to elect a master."""
        return any(word.busy for word in self.words.values())


@dataclass(frozen=True)
class Stay:
    """The role is right as it is."""


@dataclass(frozen=True)
class Lead:
    """Become master."""


@dataclass(frozen=True)
class Follow:
    """Become a replica of the member with this ordinal."""

    ordinal: int


@dataclass(frozen=True)
class Elect:
    """Ask the Sentinels for another master: this one has lost writes that another member has."""

    reason: str


@dataclass(frozen=True)
class Wait:
    """Too little is known to take a role; look again."""

    reason: str


Decision = Stay | Lead | Follow | Elect | Wait


def elected(view: View) -> int | None:
    """The master by the newest election that is known, if a majority of all Sentinels names it; else None."""
    named = [word for word in view.words.values() if word.names is not None]
    if not named:
        return None
    newest = max(named, key=lambda word: word.epoch).names
    return newest if sum(word.names == newest for word in named) >= view.quorum else None


def _majority(view: View) -> bool:
    """Whether a majority names one master, be it by an old election: that one may be about to lead on its word."""
    names = [word.names for word in view.words.values() if word.names is not None]
    return any(names.count(name) >= view.quorum for name in names)


def decide(view: View) -> Decision:
    """Which role this member takes on what it knows."""
    if len(view.words) < view.quorum:
        return Wait(f"{len(view.words)} of {view.size} Sentinels answer, and {view.quorum} make a majority")
    name = elected(view)
    if name is None:
        return _not_elected(view)
    if name == view.ordinal:
        return _elected(view)
    return _follow(view, name)


def watched(view: View) -> int | None:
    """The master that this member's own Sentinel has to be told of; None if it knows one, or there is none to tell."""
    word = view.words.get(view.ordinal)
    if word is None or word.names is not None:
        return None
    if (name := elected(view)) is not None:
        return name
    masters = [ordinal for ordinal, member in view.members.items() if member.master]
    return masters[0] if len(masters) == 1 else None


def electable(view: View) -> bool:
    """Whether Sentinels may make this member master: with it nothing would be lost that another member has.

    Of a master that is silent nothing better can be hoped for: replication is asynchronous in any case.
    """
    if view.own.master or view.own.linked:
        return True
    silent = set(range(view.size)) - set(view.members) - {elected(view)}
    return not silent and 0 < view.own.fresh == max(member.fresh for member in view.members.values())


def _follow(view: View, name: int) -> Decision:
    """Another member is named. A master may have been promoted a moment ago, and few know it yet: it waits for word."""
    if view.own.master:
        other = view.peers.get(name)
        if view.busy or other is None or not other.master:
            return Wait(f"this member serves, and the Sentinels name {name}, which does not; they may just promote it")
        return Follow(name)
    return Stay() if view.own.follows == name else Follow(name)


def _elected(view: View) -> Decision:
    """A majority names this member. Its word may be old, so nobody else may serve; and no write may be lost by it."""
    serving = sorted(ordinal for ordinal, peer in view.peers.items() if peer.master)
    fresher = sorted(ordinal for ordinal, peer in view.peers.items() if peer.fresh > view.own.fresh)
    told = view.own.follows
    decision: Decision = Lead()
    if view.own.master:
        decision = Stay()
    elif view.busy:
        decision = Wait("the Sentinels name this member, and are about to elect another")
    elif serving:
        decision = Wait(f"the Sentinels name this member, but {serving} serves; they have to elect anew")
    elif told is not None and told not in view.peers:
        decision = Wait(f"the Sentinels name this member, but it was told to follow {told}, which is silent")
    elif fresher:
        decision = Elect(f"the Sentinels name this member, but the data of {fresher} is fresher")
    elif not view.own.fresh and len(view.members) < view.size:
        decision = Wait("the Sentinels name this member, but it is empty, and a member that may hold data is silent")
    return decision


def _not_elected(view: View) -> Decision:
    """No majority for anyone: the first start, or Sentinels that lost their memory, or are about to agree."""
    masters = sorted(ordinal for ordinal, member in view.members.items() if member.master)
    if len(masters) > 1:
        return Wait(f"members {masters} all serve as master; the Sentinels have to demote all but one")
    if masters:
        return Stay() if masters == [view.ordinal] else _follow(view, masters[0])
    if len(view.members) < view.size or len(view.words) < view.size:
        return Wait(
            f"{len(view.members)} members and {len(view.words)} Sentinels of {view.size} answer; all are needed to "
            "rule out that there is a master"
        )
    if view.busy or _majority(view):
        return Wait("the Sentinels are about to elect, or to hear of an election that most of them do not know of")
    best = max(view.members, key=lambda ordinal: (view.members[ordinal].fresh, -ordinal))
    # Who is not the best waits until that one serves: to follow a member that waits itself gives nothing.
    return Lead() if best == view.ordinal else Wait(f"member {best} is to lead, and does not yet")
