"""The page of lineage: both directions, as a graph and as a table, as of any position; and evidence to take away."""

import io
import re
import zipfile

import httpx
import pytest

from trimtab.governance import lineage
from trimtab.store import Store
from trimtab.ui.screens.lineage import NODES_AT_MOST, _near


def _rows(page: str) -> dict[str, tuple[str, str]]:
    """Return each node of the table, by kind and name, with its place."""
    found = re.findall(
        r'<tr[^>]*><td>([\w-]+)</td><th scope="row"><a href="([^"]*)">([^<]+)</a></th>'
        r'.*?<td class="nowrap">([^<]+)</td>',
        page,
    )
    return {f"{kind}:{name}": (place, href) for kind, href, name, place in found}


def test_a_version_stands_between_its_data_and_its_endpoint(looped_client: httpx.Client) -> None:
    rows = _rows(looped_client.get("/ui/lineage?about=slow@2").text)
    assert rows["version:slow@2"][0] == "itself"
    assert rows["source:parcels"][0] == "behind it"
    assert rows["endpoint:slow"] == ("depends on it", "/ui/endpoints/slow")
    assert "version:slow@1" not in rows


@pytest.mark.parametrize("subject", ["version:slow@1", "source:parcels", "endpoint:slow"])
def test_the_table_has_every_node_of_the_graph(looped_client: httpx.Client, looped_store: Store, subject: str) -> None:
    graph = lineage(looped_store, subject)
    page = looped_client.get("/ui/lineage", params={"about": subject}).text
    assert len(_rows(page)) == len(graph.nodes)
    assert page.count('<g class="node') == len(graph.nodes)
    assert page.count('<g class="node go">') == 1


def test_the_past_knows_no_later_version(looped_client: httpx.Client, looped_store: Store) -> None:
    now = lineage(looped_store, "source:parcels")
    second = next(node for node in now.of("version") if node.name == "slow@2")
    assert second.position is not None
    page = looped_client.get(f"/ui/lineage?about=source:parcels&position={second.position - 1}").text
    rows = _rows(page)
    assert "version:slow@1" in rows
    assert "version:slow@2" not in rows


def test_a_decision_is_followed_to_its_source(client: httpx.Client, seeded_store: Store) -> None:
    page = client.get("/ui/endpoints/slow").text
    decision = re.findall(r'href="/ui/decisions/(\w{26})"', page)[0]
    rows = _rows(client.get(f"/ui/lineage?about=decision:{decision}").text)
    assert rows["source:parcels"][0] == "behind it"
    assert rows[f"decision:{decision}"] == ("itself", f"/ui/decisions/{decision}")


def test_decisions_that_depend_on_it_are_listed(looped_client: httpx.Client) -> None:
    page = looped_client.get("/ui/lineage?about=snapshot:none").text
    assert "the ledger knew of no snapshot" in page
    page = looped_client.get("/ui/lineage?about=version:slow@1").text
    assert re.search(r'<a class="id grow" href="/ui/decisions/\w{26}">', page)
    assert re.search(r"the first \d+, and there are more", page)


def test_what_is_drawn_is_bounded(looped_store: Store) -> None:
    near = _near(lineage(looped_store, "source:parcels"))
    assert near[0] == "source:parcels"
    assert len(near) == len(set(near)) <= NODES_AT_MOST


def test_a_version_is_exported_as_evidence(looped_client: httpx.Client) -> None:
    page = looped_client.get("/ui/models/slow/1").text
    (href,) = re.findall(r'href="([^"]+)" download', page)
    answer = looped_client.get(href)
    assert answer.status_code == 200
    assert "manifest.json" in zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
