"""Contacts of plates against those that were planted, and the parts of the network."""

import networkx
import numpy as np
import pytest

from stxmdist.particles.contacts import CONTACT_SIGMAS, contact_graph

PIXEL_NM, SIGMA_NM = 25.0, 25.0
RECALL = 0.9
"""Of planted contacts, from the reference"""


def discs(rng: np.random.Generator, n: int, side: int, touching: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centres (n, 2) and radii in pixels of discs, of which a share is laid against another one."""
    centres, radii = np.zeros((0, 2)), np.zeros(0)
    while len(radii) < n:
        radius = rng.uniform(6.0, 12.0)
        if len(radii) and rng.random() < touching:
            other, angle = rng.integers(len(radii)), rng.uniform(0, 2 * np.pi)
            centre = centres[other] + (radii[other] + radius + rng.uniform(0.0, 0.5)) * np.array(
                [np.cos(angle), np.sin(angle)]
            )
        else:
            centre = rng.uniform(radius, side - radius, 2)
        free = np.hypot(*(centres - centre).T) - radii - radius >= 0.0
        if free.all() and (centre > radius).all() and (centre < side - radius).all():
            centres, radii = np.vstack([centres, centre]), np.append(radii, radius)
    return centres, radii, np.hypot(*(centres[:, None] - centres[None]).transpose(2, 0, 1)) - radii[:, None] - radii


def drawn(centres: np.ndarray, radii: np.ndarray, side: int) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    labels = np.zeros((side, side), dtype=np.int32)
    for number, (centre, radius) in enumerate(zip(centres, radii, strict=True), start=1):
        labels[np.hypot(y - centre[0], x - centre[1]) <= radius] = number
    return labels


def test_planted_contacts_are_found_and_few_others() -> None:
    rng = np.random.default_rng(1)
    side, limit = 400, CONTACT_SIGMAS * SIGMA_NM
    axis = 1e-3 * PIXEL_NM * np.arange(side)
    planted = found_of_them = found = true = 0
    for _ in range(8):
        centres, radii, gap = discs(rng, 90, side, 0.5)
        graph = contact_graph(drawn(centres, radii, side), axis, axis, limit)
        edges = set(zip((graph.one - 1).tolist(), (graph.other - 1).tolist(), strict=True))
        touching = {(i, j) for i, j in zip(*np.nonzero(np.triu(gap * PIXEL_NM < 0.5 * PIXEL_NM, 1)), strict=True)}
        near = {(i, j) for i, j in zip(*np.nonzero(np.triu(gap * PIXEL_NM < limit + PIXEL_NM, 1)), strict=True)}
        planted, found_of_them = planted + len(touching), found_of_them + len(touching & edges)
        found, true = found + len(edges), true + len(edges & near)
    print(f"contacts: recall {found_of_them / planted:.3f} of {planted}, precision {true / found:.3f}")
    assert found_of_them / planted >= RECALL
    assert true / found >= RECALL


def test_parts_of_the_network_are_those_of_an_independent_code() -> None:
    rng = np.random.default_rng(2)
    centres, radii, _ = discs(rng, 80, 400, 0.6)
    axis = 1e-3 * PIXEL_NM * np.arange(400)
    graph = contact_graph(drawn(centres, radii, 400), axis, axis, 50.0)
    other = networkx.Graph()
    other.add_nodes_from(graph.particle_id.tolist())
    other.add_edges_from(zip(graph.one.tolist(), graph.other.tolist(), strict=True))
    parts = sorted(map(len, networkx.connected_components(other)))
    assert sorted(np.bincount(graph.component).tolist()) == parts
    assert graph.degree.tolist() == [other.degree(one) for one in graph.particle_id.tolist()]


@pytest.mark.parametrize("gap_px", [0, 1, 2, 3, 5])
def test_a_gap_is_what_lies_between_two_outlines(gap_px: int) -> None:
    labels = np.zeros((20, 40), dtype=np.int32)
    labels[5:15, 5:15] = 3
    labels[5:15, 15 + gap_px : 30] = 7
    axis_y, axis_x = 0.01 * np.arange(20), 0.01 * np.arange(40)
    graph = contact_graph(labels, axis_y, axis_x, 25.0)
    assert graph.particle_id.tolist() == [3, 7]
    if gap_px >= 3:
        assert graph.one.size == 0
        assert graph.component.tolist() == [0, 1]
    else:
        assert (graph.one.tolist(), graph.other.tolist()) == ([3], [7])
        np.testing.assert_allclose(graph.gap_nm, 10.0 * gap_px, atol=1e-6)


@pytest.mark.parametrize("labels", [np.zeros((5, 5), np.int32), np.ones((5, 5), np.int32), -np.ones((5, 5), np.int32)])
def test_fields_without_two_particles_have_no_contacts(labels: np.ndarray) -> None:
    graph = contact_graph(labels, np.arange(5.0), np.arange(5.0), 10.0)
    assert graph.one.size == 0
    assert graph.degree.sum() == 0
    assert len(graph.component) == len(graph.particle_id)
