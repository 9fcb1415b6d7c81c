"""Assembly: lanes, gatherings and gates of one run, made of a plan and connected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from phonograph.engine.batching import BatchLane
from phonograph.engine.course import Course
from phonograph.engine.delivery import Entry, Exit, Outlet, Target
from phonograph.engine.gathering import Gathering
from phonograph.engine.judge import Judge
from phonograph.engine.lane import Lane, NodeRun
from phonograph.engine.load import MOST_ENTRIES
from phonograph.engine.plan import Plan, SegmentPlan
from phonograph.flow.splits import reach_over, reaches, united
from phonograph.flow.tickets import Gate
from phonograph.graph.model import Link

GiveUp = Callable[[Lane, NodeRun, Entry], None]


@dataclass(frozen=True, slots=True)
class Assembly:
    """Everything in a run that takes items from a queue, and the gates."""

    lanes: tuple[Lane, ...]
    gatherings: tuple[Gathering, ...]
    gates: tuple[Gate, ...]

    def queued_bytes(self) -> int:
        """What waits in all queues, as far as payloads say."""
        return sum(lane.queue.num_bytes for lane in self.lanes) + sum(one.queue.num_bytes for one in self.gatherings)

    def overfull(self) -> tuple[str, ...]:
        """Nodes in front of which more waits than their queues have room for, and than workers may give back besides: none."""
        return tuple(
            lane.nodes[0].plan.id
            for lane in self.lanes
            if len(lane.queue) > lane.queue.max_items + len(lane.loads) * MOST_ENTRIES
        )

    def wait_for_no_breaker(self) -> None:
        """From here on, cancel what an open breaker would hold."""
        for lane in self.lanes:
            lane.is_patient = False
            for node in lane.nodes:
                lane.review(node)


def lane_for(plan: SegmentPlan, nodes: tuple[NodeRun, ...], num_producers: int, give_up: GiveUp) -> Lane:
    """The lane of a segment in a run."""
    return (Lane if plan.batch is None else BatchLane)(plan, nodes, num_producers, give_up)


def connect(
    plan: Plan,
    nodes: dict[str, NodeRun],
    course: Course,
    judge: Judge,
    *,
    measure: bool,
    lane: Callable[[SegmentPlan, tuple[NodeRun, ...], int, GiveUp], Lane] = lane_for,
    taps: Mapping[str, Target] = MappingProxyType({}),
) -> Assembly:
    """Make the lanes of a plan; give each node its exits to them.

    Args:
        taps: id of each of the plan's taps -> what takes the items that come there.
    """
    graph = plan.graph
    heads = {segment.nodes[0].id for segment in plan.segments} | taps.keys()
    links = [link for node in graph.nodes.values() for link in node.leaving if link.target in heads]
    producers = Counter(link.target for link in links)
    lanes: list[Lane] = []
    gatherings: list[Gathering] = []
    targets: dict[str, Target] = dict(taps)
    for segment in plan.segments:
        members = tuple(nodes[node.id] for node in segment.nodes)
        head = segment.nodes[0].id
        if segment.gathers:
            gatherings.append(Gathering(segment, members[0], producers[head], course, judge, measure=measure))
            targets[head] = gatherings[-1]
        else:
            lanes.append(lane(segment, members, producers[head], judge.shed_held))
            lanes[-1].on_convicted = judge.convicted
            lanes[-1].queue.drop = partial(course.drop, members[0], segment.queue.full)
            targets[head] = lanes[-1]

    counted = {node_id: opened_at for node_id, opened_at in plan.openers.items() if opened_at}
    beyond = reaches(graph, counted)
    over = {id(link): reach_over(link, graph, beyond[link.target], counted) for link in links}

    def outlets(links: tuple[Link, ...], *, chooses: bool) -> tuple[Outlet, ...]:
        crossing = [link for link in links if link.target in heads]
        return tuple(Outlet(link, targets[link.target], over[id(link)], chooses=chooses) for link in crossing)

    gates: list[Gate] = []
    by_name = {gathering.plan.name: gathering for gathering in gatherings}
    for node_id, run in nodes.items():
        node = run.plan
        opening = [gather for gather, opened_at in plan.openers.items() if node_id in opened_at]
        own: list[Gate] = []
        if opening:
            reach = united(over[id(link)] for link in node.leaving if id(link) in over)
            for gather in opening:
                gathering = by_name[gather]
                num_ports, limit = len(gathering.node.plan.ports[0]), gathering.window
                own.append(Gate(gather, reach[gather], num_ports, gathering.tell, limit))
        gates += own
        run.exit = Exit(outlets(node.outputs, chooses=node.spec.chooses), own)
        run.letters = Exit(outlets(node.dead_letters, chooses=False), own)
        run.fallback = Exit(outlets(node.fallback, chooses=False), own)
    return Assembly(tuple(lanes), tuple(gatherings), tuple(gates))
