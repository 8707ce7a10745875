"""Tracks that are saved and read back: as CSV, and as GEFF by the package geff."""

import sys

import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr
from conftest import discs

from napari_nuclei_unet import Result, UserError, exclude_border, read_result, save
from napari_nuclei_unet.cli import main
from napari_nuclei_unet.io.tables import with_time_column
from napari_nuclei_unet.labels.regionprops import measure

geff = pytest.importorskip("geff")

UM = "micrometer"


def family():
    """A mother that divides after a gap, and a nucleus on its own; 4 frames."""
    rows = [
        (1, 0, 5.0, 5.0, 0), (1, 1, 5.0, 6.0, 0), (2, 0, 20.0, 20.0, 0), (2, 2, 20.0, 21.0, 0),
        (3, 2, 4.0, 4.0, 1), (3, 3, 4.0, 3.0, 1), (4, 2, 8.0, 8.0, 1),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["track", "t", "y", "x", "parent"])


def tracked(tracks=None, starts=()):
    tracks = family() if tracks is None else tracks
    labels = np.zeros((4, 30, 30), np.uint16)
    for row in tracks.itertuples():
        labels[row.t - (starts or (0,))[0], int(row.y), int(row.x)] = row.track
    tables = [measure(plane, None).assign(t=t, kind="round") for t, plane in enumerate(labels)]
    table = pd.concat(tables).drop(columns="confidence")
    sizes = {"spacing": (30.0, 0.5, 0.25), "units": ("second", UM, UM)}
    return Result(labels, table, "TYX", **sizes, name="cells", starts=starts, tracks=tracks)


def read_back(path):
    """What geff reads, with all its checks."""
    from geff.core_io import read_to_memory
    from geff.validate.data import ValidationConfig

    geff.validate_structure(path)
    checks = ValidationConfig(graph=True, lineage=True, tracklet=True)
    return read_to_memory(path, data_validation=checks)


@pytest.mark.parametrize(
    "mine",
    ["notes.txt", "corrected/0", "nodes/props/fate/values/0", "nodes/props/y/mine/0",
     "edges/props/score/values/0"],
)  # fmt: skip
@pytest.mark.parametrize("is_marked", [True, False], ids=["of this program", "of any"])
def test_what_others_have_put_into_a_graph_is_not_overwritten(tmp_path, mine, is_marked):
    path = save(tmp_path / "a.geff", tracked())
    if not is_marked:
        group = zarr.open_group(path, mode="r+")
        group.attrs["geff"] = dict(group.attrs["geff"]) | {"extra": {}}
    save(path, tracked())
    if not is_marked:
        group.attrs["geff"] = dict(group.attrs["geff"]) | {"extra": {}}
    (path / mine).parent.mkdir(parents=True, exist_ok=True)
    (path / mine).write_text("mine")
    with pytest.raises(UserError, match=r"a\.geff also contains .* not overwritten: move it away"):
        save(path, tracked())
    assert (path / mine).read_text() == "mine"


def test_a_property_that_was_added_by_geff_is_not_overwritten(tmp_path):
    from geff.core_io import write_arrays

    path = save(tmp_path / "a.geff", tracked())
    read = read_back(path)
    nodes = {**read["node_props"], "fate": {"values": read["node_ids"], "missing": None}}
    edges = read["edge_ids"], {}
    write_arrays(path, read["node_ids"], nodes, *edges, read["metadata"], overwrite=True)
    with pytest.raises(UserError, match="also contains nodes/props/fate"):
        save(path, tracked())


def test_a_graph_has_nuclei_links_axes_and_labels(tmp_path):
    from geff.validate.segmentation import (
        axes_match_seg_dims,
        has_seg_ids_at_coords,
        has_valid_seg_id,
    )

    result = tracked()
    read = read_back(save(tmp_path / "a.geff", result))
    values = {name: one["values"] for name, one in read["node_props"].items()}
    assert read["metadata"].directed
    axes = [(a.name, a.type, a.unit, a.scale, a.scaled_unit) for a in read["metadata"].axes]
    assert axes == [
        ("t", "time", "frame", 30, "second"), ("y", "space", "pixel", 0.5, UM),
        ("x", "space", "pixel", 0.25, UM),
    ]  # fmt: skip
    assert read["metadata"].track_node_props == {"lineage": "lineage", "tracklet": "tracklet"}
    links = {tuple(zip(values["seg_id"][edge], values["t"][edge], strict=True))
             for edge in read["edge_ids"]}  # fmt: skip
    assert links == {
        ((1, 0), (1, 1)), ((2, 0), (2, 2)), ((1, 1), (3, 2)), ((1, 1), (4, 2)), ((3, 2), (3, 3)),
    }  # fmt: skip
    assert set(values["lineage"][values["seg_id"] == 4]) == {1}
    assert (values["area"] == 1).all()
    assert "kind" not in values  # it is text
    assert has_valid_seg_id(read)[0]
    assert axes_match_seg_dims(read, result.labels)[0]
    places = np.stack([values[name] for name in "tyx"], 1).astype(int).tolist()
    assert has_seg_ids_at_coords(result.labels, places, values["seg_id"].tolist())[0]


def test_networkx_reads_the_graph(tmp_path):
    graph, _ = geff.read(save(tmp_path / "a.geff", tracked()), backend="networkx")
    assert sorted(dict(graph.out_degree()).values()) == [0, 0, 0, 1, 1, 1, 2]


def test_a_film_without_nuclei_has_a_graph_without_nodes(tmp_path, bright_file):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 40, 40), np.uint8), metadata={"axes": "TYX"})
    flags = ["--track", "--save", "geff", "--model", str(bright_file), "--out"]
    assert main(["segment", str(tmp_path / "a.tif"), *flags, str(tmp_path / "out")]) == 0
    assert not len(read_back(tmp_path / "out" / "a_tracks.geff")["node_ids"])
    assert not len(read_result(tmp_path / "out" / "a_labels.ome.tif").tracks)


@pytest.mark.parametrize("kind", ["csv", "geff"])
def test_tracks_come_back_beside_their_labels(tmp_path, kind):
    result = tracked()
    save(tmp_path / "cells_labels.ome.tif", result)
    if kind == "csv":
        result.tracks.to_csv(tmp_path / "cells_tracks.csv", index=False, sep=";", decimal=",")
    else:
        save(tmp_path / "cells_tracks.geff", result)
    tracks = read_result(tmp_path / "cells_labels.ome.tif").tracks
    pd.testing.assert_frame_equal(tracks, family().rename(columns={"t": "time"}))


def test_a_graph_of_another_program_has_tracks(tmp_path):
    """Nodes without labels, in any order; edges between any of them."""
    import networkx as nx

    graph = nx.DiGraph()
    rows = family()
    names = [10 * (7 - at) for at in range(len(rows))]
    for name, row in zip(names, rows.to_dict("records"), strict=True):
        graph.add_node(name, **{axis: row[axis] for axis in "tyx"})
    graph.add_edges_from((names[a], names[b]) for a, b in [(0, 1), (1, 4), (1, 6), (2, 3), (4, 5)])
    kinds = ["time", "space", "space"]
    geff.write(graph, tmp_path / "cells_tracks.geff", axis_names=list("tyx"), axis_types=kinds)
    save(tmp_path / "cells_labels.ome.tif", tracked())
    tracks = read_result(tmp_path / "cells_labels.ome.tif").tracks
    assert len(tracks) == 7
    places = {(r.time, r.y, r.x): (r.track, r.parent) for r in tracks.itertuples()}
    mother = places[0, 5.0, 5.0][0]
    assert places[1, 5.0, 6.0] == (mother, 0)
    assert {places[2, 4.0, 4.0][1], places[3, 4.0, 3.0][1], places[2, 8.0, 8.0][1]} == {mother}
    assert places[2, 4.0, 4.0][0] == places[3, 4.0, 3.0][0] != places[2, 8.0, 8.0][0]


def test_planes_in_the_middle_and_other_axes_keep_their_positions(tmp_path):
    late = family().assign(t=lambda rows: rows["t"] + 2)
    read = read_back(save(tmp_path / "a.geff", tracked(late, (2,))))
    assert sorted(set(read["node_props"]["t"]["values"])) == [2, 3, 4, 5]
    series = family().assign(v=3)[["track", "v", "t", "y", "x", "parent"]]
    labels = np.zeros((1, 4, 30, 30), np.uint16)
    read = read_back(save(tmp_path / "b.geff", Result(labels, {}, "VTYX", tracks=series)))
    assert [axis.name for axis in read["metadata"].axes] == ["v", "t", "y", "x"]
    assert (read["node_props"]["v"]["values"] == 3).all()


def test_no_nuclei_and_only_children_are_graphs_too(tmp_path):
    empty = tracked(family().iloc[:0])
    assert len(read_back(save(tmp_path / "a.geff", empty))["node_ids"]) == 0
    alone = family()[family()["track"] != 4]  # its sister is the only child
    read = read_back(save(tmp_path / "b.geff", tracked(alone)))
    assert "tracklet" not in read["metadata"].track_node_props
    gone = family().assign(parent=99)  # a mother that is not there
    assert len(read_back(save(tmp_path / "c.geff", tracked(gone)))["edge_ids"]) == 3


def test_tracks_without_nuclei_at_the_edge(tmp_path):
    result = exclude_border(tracked(family().assign(y=lambda rows: rows["y"] - 4)))
    assert sorted(result.tracks["track"]) == [1, 1, 2, 2, 4]  # of 3 both are at the top
    assert len(read_back(save(tmp_path / "a.geff", result))["node_ids"]) == 5


def test_a_graph_is_replaced_and_nothing_else(tmp_path):
    path = save(tmp_path / "a.geff", tracked())
    alone = tracked(family()[family()["track"] == 2])
    assert len(read_back(save(path, alone))["node_ids"]) == 2
    (tmp_path / "b.geff").mkdir()
    (tmp_path / "b.geff" / "notes.txt").write_text("precious")
    with pytest.raises(UserError, match="is not a GEFF, and is not overwritten"):
        save(tmp_path / "b.geff", alone)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.geff", "b.geff"]


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda rows: rows.assign(t=0), "occurs twice in one frame"),
        (lambda rows: rows.assign(t=3 - rows["t"]), "begins before its parent ends"),
        (lambda rows: None, "link its nuclei over time"),
    ],
)
def test_tracks_that_are_none_get_a_sentence(tmp_path, spoil, sentence):
    from dataclasses import replace

    with pytest.raises(UserError, match=sentence):
        save(tmp_path / "a.geff", replace(tracked(), tracks=spoil(family())))
    assert not list(tmp_path.iterdir())


def test_other_graphs_get_a_sentence(tmp_path):
    save(tmp_path / "cells_labels.ome.tif", tracked())
    (tmp_path / "cells_tracks.geff").mkdir()
    with pytest.raises(UserError, match="is not a readable GEFF"):
        read_result(tmp_path / "cells_labels.ome.tif")
    (tmp_path / "cells_tracks.csv").write_text("track,frame,y,x\r\n1,2,3,4\r\n")
    with pytest.raises(UserError, match="has no column time and no column parent"):
        read_result(tmp_path / "cells_labels.ome.tif")
    (tmp_path / "cells_tracks.csv").write_text("ID,FRAME\r\n1,2\r\n")  # of another program
    assert read_result(tmp_path / "cells_labels.ome.tif").tracks is None


@pytest.mark.parametrize(
    ("column", "value"),
    [("y", "=1+1"), ("x", "inf"), ("y", ""), ("parent", ""), ("time", "1.5"), ("track", "a")],
)
def test_an_edited_table_of_tracks_gets_a_sentence(tmp_path, column, value):
    path = tmp_path / "cells_labels.ome.tif"
    save(path, tracked())
    rows = with_time_column(family())
    for table, is_whole in ((rows, True), (rows.astype({column: object}), False)):
        if not is_whole:
            table.loc[table.index[0], column] = value
        table.to_csv(tmp_path / "cells_tracks.csv", index=False)
        if is_whole:
            assert len(read_result(path).tracks) == len(rows)
        else:
            with pytest.raises(UserError, match="needs numbers in all rows"):
                read_result(path)


def test_without_the_package_a_sentence_names_it(tmp_path, monkeypatch):
    save(tmp_path / "cells_labels.ome.tif", tracked())
    save(tmp_path / "cells_tracks.geff", tracked())
    monkeypatch.setitem(sys.modules, "geff", None)
    with pytest.raises(UserError, match=r"napari-nuclei-unet\[geff\]"):
        save(tmp_path / "a.geff", tracked())
    assert read_result(tmp_path / "cells_labels.ome.tif").tracks is None  # labels are still read


def test_the_command_line_writes_graphs(tmp_path, bright_file, capsys):
    pytest.importorskip("laptrack")
    centres = [(15, 15), (40, 30), (30, 60)]
    stack = np.stack([discs((60, 80), [(y, x + 2 * t) for y, x in centres]) for t in range(3)])
    about = {"axes": "TYX", "TimeIncrement": 30, "TimeIncrementUnit": "s", "PhysicalSizeX": 0.5,
             "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.5,
             "PhysicalSizeYUnit": "µm"}  # fmt: skip
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, metadata=about, photometric="minisblack")
    out = tmp_path / "out"
    command = ["segment", str(tmp_path / "a.ome.tif"), "--out", str(out), "--diameter", "12"]
    command += ["--model", str(bright_file), "--save", "geff"]
    assert main(command) == 2
    assert "add --track" in capsys.readouterr().err
    assert main([*command, "--track"]) == 0
    read = read_back(out / "a_tracks.geff")
    assert len(read["node_ids"]) == 9
    assert len(read["edge_ids"]) == 6
    assert [axis.scale for axis in read["metadata"].axes] == [30, 0.5, 0.5]
    assert (read["node_props"]["area_um2"]["values"] > 10).all()
    assert set(read["node_props"]["generation"]["values"]) == {0}
    lineages = pd.read_csv(out / "a_lineage.csv")
    assert lineages["track"].tolist() == lineages["lineage"].tolist() == [1, 2, 3]
    np.testing.assert_allclose(lineages["mean_speed_um_per_min"], 2)
    assert pd.read_csv(out / "a_tracks.csv")["displacement_um"].max() == pytest.approx(2)
    capsys.readouterr()
    assert main([*command, "--track"]) == 0
    assert "done before" in capsys.readouterr().out
    [labels] = [path for path in out.iterdir() if "_labels" in path.name]
    assert main(["convert", str(labels), "--to", "geff", "--out", str(tmp_path / "c")]) == 0
    assert len(read_back(tmp_path / "c" / "a_tracks.geff")["edge_ids"]) == 6
    assert main(["convert", str(labels), "--to", "geff"]) == 2
    assert "exists" in capsys.readouterr().err
    (out / "a_tracks.csv").unlink()
    assert len(read_result(labels).tracks) == 9
    capsys.readouterr()
    assert main(["segment", str(out), "--out", str(tmp_path / "d"), *command[4:-2]]) == 2
    assert "5 written by this program" in capsys.readouterr().err
