"""The figures of a relay that is one of several: its own part, and the others as it sees them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from securechat.server.state import Relay
from securechat.server.telemetry.histogram import Distribution

if TYPE_CHECKING:
    from securechat.server.cluster.membership import Neighbour
    from securechat.server.services import Services

__all__ = ["ClusterFigures", "RelayFigures", "cluster_figures"]


@dataclass(frozen=True, slots=True)
class RelayFigures:
    """A relay as the others know it. Immutable.

    ``started_s`` is in seconds since 1970 UTC. What follows ``keeper`` it has said itself,
    ``heard_s`` seconds ago; all of it is ``None`` if it has not been heard yet. ``lag`` is how many
    events the relay that tells knows after the last that this one does: some do not concern it.
    """

    name: str
    address: str
    incarnation: int
    started_s: float
    own: bool
    keeper: bool
    heard_s: float | None = None
    sessions: int | None = None
    event: int | None = None
    lag: int | None = None
    version: str | None = None
    cut_off: str | None = None


@dataclass(frozen=True, slots=True)
class ClusterFigures:
    """How a relay stands with the others. Immutable.

    Events have numbers in the log: ``event`` is the last that the relay knows, ``history_event``
    and ``state_event`` those up to which it has written what it is to write; ``snapshot_event`` and
    ``snapshot_age_s`` are of the latest snapshot that it has made, or started from. ``cut_off`` is
    why it can change nothing at the moment, often empty.

    Since the start: ``taken`` events have come, ``returns`` is how long its own took to come back,
    in seconds, ``repeated`` how often one was void and was proposed again. Now: ``on_their_way``
    have not come back; ``spare_entries`` of the history and ``held_writes`` of the state are held
    in case that another relay does not write them.
    """

    relay: str
    incarnation: int
    cut_off: str
    event: int
    taken: int
    on_their_way: int
    repeated: int
    returns: Distribution
    keeper: bool
    history_event: int
    state_event: int
    spare_entries: int
    held_writes: int
    snapshot_event: int
    snapshot_age_s: float
    relays: tuple[RelayFigures, ...]

    @property
    def problems(self) -> list[str]:
        """A line for a person if it is cut off from the others; nothing if all is well."""
        return [self.cut_off] if self.cut_off else []


def cluster_figures(services: Services) -> ClusterFigures | None:
    """Return the figures of this moment, ``None`` for the only relay of a chat.

    Safe from any thread that holds no lock, once the relay has joined the others; takes the network
    lock for an instant.
    """
    cluster = services.cluster
    if cluster is None:
        return None
    event_log, state, now_s = cluster.event_log, cluster.state, services.clock()
    snapshot_event, snapshot_s = cluster.snapshot
    with services.lock:
        own, on_their_way = cluster.members.own, event_log.standing.on_their_way
        spare, relays = len(services.history.spare), list(services.network.relays.values())
    heard = {each.incarnation: each for each in cluster.members.neighbours}
    heard[own.incarnation] = own
    tally = event_log.tally
    return ClusterFigures(
        relay=own.name,
        incarnation=own.incarnation,
        cut_off=own.cut_off,
        event=own.applied,
        taken=tally.taken,
        on_their_way=on_their_way,
        repeated=tally.repeated,
        returns=tally.returns.snapshot(),
        keeper=state.is_keeper,
        history_event=own.history,
        state_event=own.state,
        spare_entries=spare,
        held_writes=state.held,
        snapshot_event=snapshot_event,
        snapshot_age_s=now_s - snapshot_s,
        relays=tuple(
            _figures_of(relay, heard.get(relay.incarnation), own, keeper=relay is relays[0])
            for relay in relays
        ),
    )


def _figures_of(
    relay: Relay, said: Neighbour | None, own: Neighbour, *, keeper: bool
) -> RelayFigures:
    known = RelayFigures(
        name=relay.name,
        address=relay.address,
        incarnation=relay.incarnation,
        started_s=relay.started_ms / 1000,
        own=said is own,
        keeper=keeper,
    )
    if said is None:
        return known
    return replace(
        known,
        heard_s=max(0.0, own.heard_s - said.heard_s),
        sessions=said.sessions,
        event=said.applied,
        lag=own.applied - said.applied,
        version=said.version,
        cut_off=said.cut_off,
    )
