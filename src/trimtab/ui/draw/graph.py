"""A layered graph: each node right of what it needs, with a slot in every layer that an edge passes.

Edges that span layers get a slot of their own in between, so no edge runs behind a node.
"""

from collections.abc import Sequence
from itertools import pairwise

import msgspec

NODE_WIDTH, NODE_HEIGHT = 138.0, 46.0
GAP_X, GAP_Y = 18.0, 14.0
SLOT_HEIGHT = 14.0


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A node by name, with what it needs. ``tone`` is ok, bad, go, wait or off; ``href`` may be empty.

    ``title`` stands on it where the name would not do.
    """

    name: str
    title: str = ""
    needs: tuple[str, ...] = ()
    said: str = ""
    tone: str = "off"
    href: str = ""


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    node: Node
    x: float
    y: float
    title: str
    said: str


class Graph(msgspec.Struct, frozen=True, kw_only=True):
    width: float
    height: float
    nodes: tuple[Placed, ...]
    edges: tuple[str, ...]
    label: str
    node_width: float = NODE_WIDTH
    node_height: float = NODE_HEIGHT


def layered_graph(nodes: Sequence[Node]) -> Graph:
    """Lay out a graph without cycles; needs that name no node, or that another need implies, are not drawn."""
    nodes = _without_implied(nodes)
    by_name = {node.name: node for node in nodes}
    layer: dict[str, int] = {}

    def layer_of(name: str) -> int:
        if name not in layer:
            layer[name] = 0
            layer[name] = 1 + max((layer_of(n) for n in by_name[name].needs), default=-1)
        return layer[name]

    for node in nodes:
        layer_of(node.name)
    depth = max(layer.values(), default=0) + 1
    columns: list[list[str]] = [[] for _ in range(depth)]
    above: dict[str, list[str]] = {}
    chains: list[list[str]] = []
    for node in nodes:
        columns[layer[node.name]].append(node.name)
        above.setdefault(node.name, [])
    for node in nodes:
        for need in node.needs:
            chain = [need]
            for level in range(layer[need] + 1, layer[node.name]):
                slot = f"\0{need}\0{node.name}\0{level}"
                columns[level].append(slot)
                above[slot] = [chain[-1]]
                chain.append(slot)
            above[node.name].append(chain[-1])
            chains.append([*chain, node.name])
    _order(columns, above)
    return _placed(columns, chains, by_name)


def _without_implied(nodes: Sequence[Node]) -> list[Node]:
    """Return the nodes with only those needs that no other need of theirs already has."""
    needs = {node.name: node.needs for node in nodes}
    behind: dict[str, frozenset[str]] = {}

    def all_behind(name: str) -> frozenset[str]:
        if name not in behind:
            behind[name] = frozenset()  # ends a cycle, which a pipeline cannot have
            direct = [need for need in needs[name] if need in needs]
            behind[name] = frozenset(direct).union(*(all_behind(need) for need in direct))
        return behind[name]

    reduced = []
    for node in nodes:
        direct = [need for need in node.needs if need in needs]
        implied: set[str] = set().union(*(all_behind(need) for need in direct))
        reduced.append(msgspec.structs.replace(node, needs=tuple(need for need in direct if need not in implied)))
    return reduced


def _order(columns: list[list[str]], above: dict[str, list[str]]) -> None:
    """Sort each column by the middle of what its members need: few edges cross. Ties keep their order."""
    for left, column in pairwise(columns):
        place = {name: i for i, name in enumerate(left)}

        def middle(name: str, place: dict[str, int] = place) -> float:
            places = [place[n] for n in above[name] if n in place]
            return sum(places) / len(places) if places else float(len(place))

        column.sort(key=middle)


def _placed(columns: list[list[str]], chains: list[list[str]], by_name: dict[str, Node]) -> Graph:
    heights = [sum(_height(n, by_name) + GAP_Y for n in column) - GAP_Y for column in columns]
    height = max(heights, default=0.0)
    at: dict[str, tuple[float, float]] = {}
    for i, column in enumerate(columns):
        y = (height - heights[i]) / 2 + 2
        for name in column:
            at[name] = (i * (NODE_WIDTH + GAP_X) + 2, y)
            y += _height(name, by_name) + GAP_Y
    edges = []
    for chain in chains:
        path = ""
        for left, right in pairwise(chain):
            x1, y1 = at[left][0] + NODE_WIDTH, at[left][1] + _height(left, by_name) / 2
            x2, y2 = at[right][0], at[right][1] + _height(right, by_name) / 2
            middle = (x1 + x2) / 2
            path += f"{'L' if path else 'M'}{x1:g} {y1:g}C{middle:g} {y1:g} {middle:g} {y2:g} {x2:g} {y2:g}"
        edges.append(path)
    placed = tuple(
        Placed(
            node=by_name[name], x=at[name][0], y=at[name][1], title=_fitted(by_name[name].title or name, 18),
            said=_fitted(by_name[name].said, 19),
        )
        for column in columns for name in column if name in by_name
    )  # fmt: skip
    said = "; ".join(f"{n.name}{' needs ' + ', '.join(n.needs) if n.needs else ''}" for n in by_name.values())
    return Graph(
        width=len(columns) * (NODE_WIDTH + GAP_X) - GAP_X + 4, height=height + 4, nodes=placed, edges=tuple(edges),
        label=f"Steps and what they need: {said}",
    )  # fmt: skip


def _height(name: str, by_name: dict[str, Node]) -> float:
    return NODE_HEIGHT if name in by_name else SLOT_HEIGHT


def _fitted(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
