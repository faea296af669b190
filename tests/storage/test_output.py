"""A unit writes whole shards that it owns and nothing else; what was written is read back exactly."""

import itertools
import json
import pickle
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import numpy as np
import pytest
import xarray
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import storage.output
from storage.errors import StoreError
from storage.output import ArrayPlan, Output
from storage.schema import ArraySpec
from storage.store import Store

DTYPES = {"soc": "float32", "labels": "int32", "mask_class": "uint8"}


def unmarked(store: Store, sample: SimpleNamespace) -> Output:
    output = store.output("fit", "s1", "d1")
    output.declare(sample.plans())
    return output


# --- round trips ---------------------------------------------------------------------------------------------


def test_what_was_written_is_read(store: Store, sample: SimpleNamespace) -> None:
    output = sample.fill(store.output("fit", "s1", "d1"))
    for plan in sample.plans():
        read = output.read(plan.name)
        assert read.dtype == plan.layout().dtype
        np.testing.assert_array_equal(read, sample.values(plan.name))
    slab = output.read("transmission", np.s_[:, 3:11, 2])
    np.testing.assert_array_equal(slab, sample.values("transmission")[:, 3:11, 2])
    assert output.absent("transmission") == []


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.sampled_from(sorted(DTYPES)))
def test_any_geometry_and_any_order_of_writing_gives_the_same(data: st.DataObject, name: str) -> None:
    sizes = st.sampled_from([1, 2, 3, 5, 7, 11, 13, 17])
    shape = data.draw(st.tuples(sizes, sizes))
    chunks = data.draw(st.tuples(*(st.integers(1, n) for n in shape)))
    shards = tuple(c * data.draw(st.integers(1, 3)) for c in chunks)
    raw = np.random.default_rng(0).integers(0, 256, (*shape, 4), dtype=np.uint8)
    truth = raw[..., 0].copy() if DTYPES[name] == "uint8" else raw.view(DTYPES[name])[..., 0]
    with TemporaryDirectory() as folder:
        output = Output(Path(folder))
        output.declare([ArrayPlan(name, shape, chunks, shards)])
        layout = output.layout(name)
        assert (layout.chunks, layout.shards, layout.shape) == (chunks, shards, shape)
        for index in data.draw(st.permutations(layout.indices())):
            path = output.write("u", {name: layout.indices()}, name, index, truth[layout.region(index)])
            assert (output.path / path).is_file()
        # Bit for bit, since random bits are NaNs with payload, infinities and subnormal numbers too.
        assert output.read(name).tobytes() == truth.tobytes()


@pytest.mark.parametrize("chunks", [(2, 7), (4, 7)], ids=["sharded", "plain"])
@pytest.mark.parametrize("value", [0, 5])
def test_a_shard_of_fill_values_is_a_file_too(store: Store, value: int, chunks: tuple[int, int]) -> None:
    # zarr leaves such chunks out by default; then nobody can tell a written shard from one that is missing.
    output = store.output("fit", "s1", "d1")
    output.declare([ArrayPlan("mask_class", (13, 7), chunks, (4, 7))])
    owns = {"mask_class": [(0, 0), (3, 0)]}
    output.write("u", owns, "mask_class", (3, 0), np.full((1, 7), value, np.uint8))
    output.write("u", owns, "mask_class", (0, 0), np.full((4, 7), value, np.uint8))
    assert output.absent("mask_class") == [(1, 0), (2, 0)]
    assert (output.read("mask_class", np.s_[12:]) == value).all()


def test_what_was_not_written_is_missing_and_never_zero(store: Store, sample: SimpleNamespace) -> None:
    output = unmarked(store, sample)
    sample.write_block(output, 1)
    assert np.isnan(output.read("transmission", np.s_[:, :4])).all()
    assert np.isfinite(output.read("transmission", np.s_[:, 4:8])).all()
    assert (output.read("mask_class", np.s_[8:]) == 5).all()
    assert output.absent("soc") == [(0, 0), (2, 0), (3, 0)]


def test_a_second_write_of_an_edge_shard_keeps_nothing_of_the_first(store: Store) -> None:
    output = store.output("fit", "s1", "d1")
    output.declare([ArrayPlan("soc", (13, 7), (2, 7), (4, 7))])
    owns = {"soc": [(3, 0)]}
    one, two = np.full((1, 7), 1, np.float32), np.full((1, 7), 2, np.float32)
    first = output.path / output.write("u", owns, "soc", (3, 0), one)
    first.write_bytes(b"half a shard that a killed writer of an older version left")
    output.write("u", owns, "soc", (3, 0), two)
    np.testing.assert_array_equal(output.read("soc", np.s_[12:]), two)


def test_zarr_itself_reads_what_was_written_with_names_and_units(store: Store, sample: SimpleNamespace) -> None:
    output = sample.fill(store.output("fit", "s1", "d1"))
    group = zarr.open_group(output.group_path, mode="r", use_consolidated=False)
    array = group["transmission"]
    np.testing.assert_array_equal(array[...], sample.values("transmission"))
    assert array.metadata.dimension_names == ("energy", "y", "x")
    assert array.attrs["units"] == "1"
    assert array.attrs["drift_px"] == 0.5
    assert group["energy"].attrs["units"] == "eV"
    assert (array.shards, array.chunks) == (sample.SHARDS, sample.CHUNKS)


@pytest.mark.parametrize("consolidated", [None, False])
def test_xarray_opens_any_group_without_a_warning(
    store: Store, sample: SimpleNamespace, consolidated: bool | None
) -> None:
    output = sample.fill(store.output("fit", "s1", "d1"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = xarray.open_zarr(output.group_path, consolidated=consolidated, chunks=None)
        ours = output.dataset()
    assert found.identical(ours)
    np.testing.assert_array_equal(ours.transmission, sample.values("transmission"))
    np.testing.assert_array_equal(ours.energy, sample.COORDS["energy"][0])
    assert ours.mask_class.dtype == np.uint8
    assert ours.soc.sel(y=2.1, method="nearest").shape == (7,)


def test_words_along_an_axis_and_names_with_units_are_found(store: Store) -> None:
    output = store.output("fit", "s1", "d1")
    names = np.array(["discharged", "charged"])
    coords = {"component": (names, ""), "y_um": ([0.0, 0.1, 0.2], "um")}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        output.declare([ArrayPlan("thickness_nm", (2, 3, 5), coords=coords)])
    found = output.coordinates()
    assert list(found["component"][0]) == ["discharged", "charged"]
    assert found["y"][1] == "um"
    np.testing.assert_array_equal(output.read("y_um"), [0.0, 0.1, 0.2])
    assert output.arrays() == ("thickness_nm",)


def test_attributes_survive_as_json(store: Store) -> None:
    output = store.output("ingest", "s1", "d1")
    attrs = {"distance_m": np.float64(0.07), "lacks": ("dwell",), "path": Path("a/b"), "unknown": float("nan")}
    output.declare([ArrayPlan("soc", (3, 5))], attrs=attrs)
    found = output.attrs()
    assert found["distance_m"] == 0.07
    assert found["lacks"] == ["dwell"]
    assert found["unknown"] is None
    assert "ome" in found


@pytest.mark.slow
def test_a_stack_of_a_hundred_energies_is_read_within_a_second_of_one_core(store: Store) -> None:
    # The whole fit stage of such a stack has four seconds on two cores, so storage may take one.
    stack = np.random.default_rng(0).poisson(2000, (100, 512, 512)).astype(np.float32) / 2000
    output = store.output("align", "s1", "d1")
    output.declare([ArrayPlan("transmission", stack.shape)])
    output.write("u", {"transmission": [(0, 0, 0)]}, "transmission", (0, 0, 0), stack)
    started = time.process_time()
    for row in range(0, 512, 64):
        np.testing.assert_array_equal(output.read("transmission", np.s_[:, row : row + 64]), stack[:, row : row + 64])
    assert time.process_time() - started < 1.0


# --- refusals ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("index", "data", "words"),
    [
        ((1, 0), np.zeros((4, 7), np.float32), "belongs to another unit"),
        ((0, 0), np.zeros((3, 7), np.float32), "not exactly shard"),
        ((0, 0), np.zeros((1, 4, 7), np.float32), "not exactly shard"),
        ((3, 0), np.zeros((4, 7), np.float32), "not exactly shard"),
        ((0, 0), np.zeros((4, 7), np.float64), "not exactly shard"),
        ((9, 0), np.zeros((4, 7), np.float32), "no such shard"),
    ],
    ids=["foreign", "partial", "axis too many", "over the end", "other type", "outside"],
)
def test_any_other_write_is_refused_and_leaves_nothing(
    store: Store, sample: SimpleNamespace, index: tuple[int, int], data: np.ndarray, words: str
) -> None:
    output = unmarked(store, sample)
    before = sorted(output.path.rglob("*"))
    with pytest.raises(StoreError, match=words):
        output.write("u", {"soc": [(0, 0), (3, 0), (9, 0)]}, "soc", index, data)
    assert sorted(output.path.rglob("*")) == before


def test_a_finished_unit_writes_no_more_until_it_is_forgotten(store: Store, sample: SimpleNamespace) -> None:
    output = sample.fill(store.output("fit", "s1", "d1"))
    with pytest.raises(StoreError, match="has finished"):
        sample.write_block(output, 2)
    output.forget("rows-2")
    assert "rows-2" not in output.done()
    sample.write_block(output, 2, seed=9)
    np.testing.assert_array_equal(output.read("soc", np.s_[8:12]), sample.values("soc", 9)[8:12])


def test_the_same_plan_again_rewrites_nothing(store: Store, sample: SimpleNamespace) -> None:
    output = sample.fill(store.output("fit", "s1", "d1"))
    before = {path: path.stat().st_mtime_ns for path in output.path.rglob("*")}
    output.declare(sample.plans())
    assert {path: path.stat().st_mtime_ns for path in output.path.rglob("*")} == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shape": (17, 7)}, "arrays: soc"),
        ({"shards": (2, 7)}, "arrays: soc"),
        ({"attrs": {"note": "other"}}, "attrs: soc"),
        ({"coords": {"x": (np.zeros(7), "um")}}, "coords: x"),
    ],
    ids=["shape", "shards", "attributes", "coordinates"],
)
def test_another_plan_under_the_same_digest_is_refused(store: Store, change: dict, words: str) -> None:
    plan = ArrayPlan("soc", (13, 7), shards=(4, 7))
    output = store.output("fit", "s1", "d1")
    output.declare([plan])
    with pytest.raises(StoreError, match=f"declared before with another plan; got a difference in .*{words}"):
        output.declare([replace(plan, **change)])


def test_two_processes_may_declare_at_once(
    store: Store, sample: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The other process finishes its group while this one is still making its own.
    make, quicker = storage.output.create_group, store.output("fit", "s1", "d1")

    def overtaken(*arguments: object) -> None:
        make(*arguments)
        monkeypatch.setattr(storage.output, "create_group", make)
        sample.fill(quicker)

    monkeypatch.setattr(storage.output, "create_group", overtaken)
    output = store.output("fit", "s1", "d1")
    output.declare(sample.plans())
    np.testing.assert_array_equal(output.read("soc"), sample.values("soc"))
    assert not list(store.root.rglob("*.partial"))


@pytest.mark.parametrize(
    ("plans", "words"),
    [
        ([ArrayPlan("soc", (13, 7)), ArrayPlan("soc_se", (13, 8))], "do not agree on an axis"),
        ([ArrayPlan("soc", (13, 7), coords={"y": (np.arange(12), "um")})], "do not agree on an axis"),
        ([ArrayPlan("soc", (13, 7), coords={"z": (np.arange(12), "um")})], "do not agree on an axis"),
        ([ArrayPlan("soc", (13, 7), (3, 7), (4, 7))], "chunks do not divide shards"),
        ([ArrayPlan("soc", (13, 0))], "no elements"),
        ([ArrayPlan("gravity", (13, 7))], "declares no array"),
    ],
)
def test_a_plan_that_contradicts_itself_or_the_schema_is_refused(store: Store, plans: list, words: str) -> None:
    output = store.output("fit", "s1", "d1")
    with pytest.raises(StoreError, match=words):
        output.declare(plans)
    assert not output.path.exists()


def test_reading_what_is_not_there_says_what_is(store: Store, sample: SimpleNamespace) -> None:
    with pytest.raises(StoreError, match="has no arrays"):
        store.output("fit", "s1", "none").read("soc")
    with pytest.raises(StoreError, match=r"no array of this name.*mask_class.*soc.*transmission"):
        unmarked(store, sample).read("sock")


@pytest.mark.parametrize("name", ["transmission", "soc"], ids=["sharded", "plain"])
@pytest.mark.parametrize("where", [0.3, 0.6])
def test_a_flipped_bit_is_noticed_on_reading(store: Store, sample: SimpleNamespace, name: str, where: float) -> None:
    output = sample.fill(store.output("fit", "s1", "d1"))
    path = output.group_path / name / "c" / "/".join(["0"] * len(output.layout(name).shape))
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= 4
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"cannot be read.*stxmdist verify"):
        output.read(name)


# --- units ---------------------------------------------------------------------------------------------------


def test_units_are_marked_quarantined_and_released(store: Store) -> None:
    output = store.output("fit", "s1", "d1")
    assert (output.done(), output.receipts(), output.quarantined()) == (frozenset(), {}, {})
    odd = "fit/s1/../rows 0-4 %2F ü"
    output.quarantine(odd, {"error": "boom"})
    output.quarantine("b", {"error": "bang"})
    assert output.quarantined() == {odd: {"error": "boom"}, "b": {"error": "bang"}}
    output.mark(odd, {"median": np.float32(0.5), "worst": float("nan"), "shape": (1, 2)})
    assert output.receipts() == {odd: {"median": 0.5, "worst": None, "shape": [1, 2]}}
    assert set(output.quarantined()) == {"b"}
    output.release()
    assert output.quarantined() == {}
    assert output.done() == {odd}
    assert sorted(path.parent.name for path in output.path.rglob("*.json")) == ["units"]


def test_a_damaged_record_is_named(store: Store) -> None:
    output = store.output("fit", "s1", "d1")
    output.mark("a", {})
    (output.path / "units" / "a.json").write_text('{"half": ')
    with pytest.raises(StoreError, match=r"a\.json.*cannot be read"):
        output.receipts()


def test_a_damaged_description_of_an_array_is_not_taken_for_none(store: Store, sample: SimpleNamespace) -> None:
    output = sample.fill(store.output("fit", "s1", "d1"))
    name = output.arrays()[0]
    (output.group_path / name / "zarr.json").write_text('{"half": ')
    with pytest.raises(StoreError, match="what is said of an array cannot be read"):
        Output(output.path).array(name)


def test_inventory_lists_every_published_file_with_its_hash(store: Store, sample: SimpleNamespace) -> None:
    written = sample.fill(store.output("fit", "s1", "d1"))
    written.put("page/report.html", b"<html>")
    written.quarantine("x", {})
    (written.path / ".left.partial").write_bytes(b"left by a killed writer")
    again = Output(written.path)
    assert again.inventory() == written.inventory()
    names = set(again.inventory())
    assert "page/report.html" in names
    assert not any(name.startswith(("units", "quarantine", ".")) for name in names)
    shards = sum(len(plan.layout().indices()) for plan in sample.plans())
    assert sum("/c/" in name for name in names) == shards + len(sample.COORDS)


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "data.zarr/x", "units/x.json"])
def test_other_files_stay_in_their_place(store: Store, name: str) -> None:
    with pytest.raises(StoreError, match="not a place"):
        store.output("fit", "s1", "d1").put(name, b"")


def test_an_output_travels_to_another_process(store: Store) -> None:
    output = store.output("fit", "s1", "d1")
    assert pickle.loads(pickle.dumps(output)) == output


# --- several processes, and killed ones ------------------------------------------------------------------------

WRITER = """
import sys
import numpy as np
from pathlib import Path
from storage.output import ArrayPlan, Output

output, parity = Output(Path(sys.argv[1])), int(sys.argv[2])
shape = (101, 53)
truth = np.random.default_rng(3).random(shape, np.float32)
for _ in range(3):
    output.declare([ArrayPlan("soc", shape, (1, 53), (3, 53))])
layout = output.layout("soc")
mine = [index for index in layout.indices() if index[0] % 2 == parity]
print("ready", flush=True)
sys.stdin.readline() if len(sys.argv) > 3 else None
for index in mine:
    output.write(f"u{parity}", {"soc": mine}, "soc", index, truth[layout.region(index)])
output.mark(f"u{parity}", {})
"""


@pytest.mark.long
def test_two_processes_writing_different_shards_give_exact_data(
    store: Store, start_python: Callable[..., object]
) -> None:
    output = store.output("fit", "s1", "d1")
    writers = [start_python(WRITER, output.path, parity) for parity in (0, 1)]
    for writer in writers:
        _, errors = writer.communicate(timeout=60)
        assert writer.returncode == 0, errors
    truth = np.random.default_rng(3).random((101, 53), np.float32)
    np.testing.assert_array_equal(output.read("soc"), truth)
    assert output.done() == {"u0", "u1"}
    assert not list(store.root.rglob("*.partial"))


ENDLESS_WRITER = """
import sys
import numpy as np
from pathlib import Path
from storage.output import ArrayPlan, Output

output = Output(Path(sys.argv[1]))
output.declare([ArrayPlan("soc", (1000, 1000), shards=(500, 1000))])
n = 0
while True:
    n += 1
    for index in ((0, 0), (1, 0)):
        noise = np.random.default_rng(n).random((500, 1000), np.float32)
        noise[:, 0] = n
        output.write("u", {"soc": [(0, 0), (1, 0)]}, "soc", index, noise)
    print(n, flush=True)
"""


@pytest.mark.faults
@pytest.mark.long
def test_a_writer_killed_at_any_moment_leaves_whole_shards_only(
    store: Store, start_python: Callable[..., object]
) -> None:
    output = store.output("fit", "s1", "d1")
    for pause in (0.003, 0.031):
        writer = start_python(ENDLESS_WRITER, output.path)
        writer.stdout.readline()
        time.sleep(pause)
        writer.kill()
        writer.communicate()
        for block in (0, 1):
            read = output.read("soc", np.s_[500 * block : 500 * (block + 1)])
            noise = np.random.default_rng(int(read[0, 0])).random((500, 1000), np.float32)
            np.testing.assert_array_equal(read[:, 1:], noise[:, 1:])
        assert output.done() == frozenset()


def test_every_record_of_a_published_output_is_json(published: Store) -> None:
    records = list(itertools.chain(published.root.rglob("*.json"), published.root.rglob("zarr.json")))
    assert len(records) > 10
    for path in records:
        json.loads(path.read_text(), parse_constant=lambda word, path=path: pytest.fail(f"{word} in {path}"))


def test_an_array_that_the_schema_does_not_know_comes_with_its_declaration(store: Store) -> None:
    tilt = ArraySpec("tilt_deg", ("y", "x"), "float32", "deg", "tilt of the sample")
    code = ArraySpec("tilt_code", ("y", "x"), "int8", "", "why there is no tilt", -1, "small")
    output = store.output("fit", "s1", "d1")
    output.declare([ArrayPlan(spec.name, (13, 7), shards=(4, 7), spec=spec) for spec in (tilt, code)])
    output.write("u", {"tilt_deg": [(1, 0)]}, "tilt_deg", (1, 0), np.ones((4, 7), np.float32))
    assert output.arrays() == ("tilt_deg", "tilt_code")
    found = output.read("tilt_deg")
    assert (found[4:8] == 1.0).all()
    assert np.isnan(found[:4]).all()
    assert (output.read("tilt_code") == -1).all()
    for spec in (tilt, code):
        layout, about = output.layout(spec.name), output.attrs(spec.name)
        assert (layout.dims, layout.dtype) == (spec.dims, np.dtype(spec.dtype))
        assert (about["units"], about["long_name"]) == (spec.unit, spec.meaning)
        np.testing.assert_array_equal(layout.unknown((2,)), np.full(2, spec.fill_for(layout.dtype)))


@pytest.mark.parametrize(
    ("name", "declared", "words"),
    [("soc", "soc", "declared twice"), ("tilt_deg", "other", "declaration is of another array")],
)
def test_a_declaration_of_what_the_schema_knows_or_of_another_array_is_refused(
    store: Store, name: str, declared: str, words: str
) -> None:
    spec = ArraySpec(declared, ("y", "x"), "float32", "deg", "tilt of the sample")
    with pytest.raises(StoreError, match=words):
        store.output("fit", "s1", "d1").declare([ArrayPlan(name, (13, 7), spec=spec)])
