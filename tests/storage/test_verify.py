"""Every byte of what is published counts."""

from pathlib import Path

import numpy as np
import pytest

from storage.store import Store
from storage.tables import publish_folder
from storage.verify import verify


def shard(store: Store, scan: str = "s2") -> Path:
    return store.output("fit", scan, "d1").group_path / "soc" / "c" / "2" / "0"


def test_a_whole_store_has_no_findings_and_every_file_is_looked_at(published: Store) -> None:
    heard: list[tuple[int, int]] = []
    assert verify(published, lambda done, total: heard.append((done, total))) == []
    total = sum(len(scan.files) for scan in published.publication("fit").scans.values())
    assert heard == [(n + 1, total) for n in range(total)]


@pytest.mark.parametrize("seed", range(5))
def test_one_flipped_bit_anywhere_is_found(published: Store, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scan_id = str(rng.choice(["s1", "s2"]))
    name = str(rng.choice(sorted(published.publication("fit").scans[scan_id].files)))
    path = published.output("fit", scan_id, "d1").path / name
    content = bytearray(path.read_bytes())
    content[rng.integers(len(content))] ^= 1 << rng.integers(8)
    path.write_bytes(content)
    (finding,) = verify(published)
    assert (finding.kind, finding.stage, finding.scan_id) == ("changed", "fit", scan_id)
    assert published.root / finding.path == path
    assert f"Delete stages/fit/{scan_id}/d1 and run again" in str(finding)


def test_missing_and_truncated_files_are_named(published: Store) -> None:
    shard(published, "s1").unlink()
    shard(published, "s2").write_bytes(b"")
    findings = verify(published)
    assert [(finding.kind, finding.scan_id) for finding in findings] == [("missing", "s1"), ("changed", "s2")]


def test_a_file_that_became_a_folder_is_unreadable(published: Store) -> None:
    shard(published).unlink()
    shard(published).mkdir()
    (finding,) = verify(published)
    assert finding.kind == "unreadable"


def test_a_damaged_publication_does_not_hide_the_others(published: Store) -> None:
    (published.published_path / "align.json").write_text("{")
    shard(published).unlink()
    findings = verify(published)
    assert [(finding.kind, finding.stage) for finding in findings] == [("unreadable", "align"), ("missing", "fit")]


def test_a_link_to_nothing_is_found(published: Store) -> None:
    target = published.output("infer", "campaign", "d1").path
    target.mkdir(parents=True)
    publish_folder(published, "tables", target)
    assert verify(published) == []
    target.rmdir()
    (finding,) = verify(published)
    assert (finding.kind, finding.path) == ("missing", "tables")


def test_what_is_not_published_is_not_judged(published: Store) -> None:
    folder = published.output("fit", "s1", "d2").path
    folder.mkdir()
    (folder / "half").write_bytes(b"")
    assert verify(published) == []
