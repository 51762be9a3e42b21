"""A run's folder that follows another: whole, in an order that survives a stop, and without what was pruned."""

from __future__ import annotations

import pytest

from ganbench.planning import plan
from ganbench.recipes import RecipeBook
from ganbench.registry import Registry
from ganbench.store import RunFolder
from ganbench.suites import load_suite
from ganbench.sweep import parcel as parcel_module
from ganbench.sweep.parcel import Packer, unpack


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[RunFolder]:
    book = RecipeBook()
    suite = load_suite(book, "losses")
    (spec, *_) = plan(suite, "quick", Registry.discover(), book, [0], (), suite.rows[:1])[0].specs
    made = [RunFolder(tmp_path_factory.mktemp(name), spec) for name in ("there", "here")]
    for folder in made:
        folder.create()
    return made


def write(folder: RunFolder, **files: str) -> None:
    for name, content in files.items():
        (folder.path / name.replace("__", "/").replace("_", ".")).write_text(content)


def content(folder: RunFolder) -> dict[str, str]:
    """All but what each folder has for itself."""
    files = {str(p.relative_to(folder.path)): p for p in folder.path.rglob("*") if p.is_file()}
    return {name: path.read_text() for name, path in files.items() if name not in ("spec.json", "log.txt")}


def test_a_folder_follows_another(folders: list[RunFolder], monkeypatch: pytest.MonkeyPatch) -> None:
    there, here = folders
    packer = Packer(there)
    write(there, metrics_jsonl="1\n", checkpoints__a_pt="A", checkpoints__a_pt_sha256="a", log_txt="theirs")
    write(here, log_txt="ours", failure_json="of the last time")
    (there.checkpoints / ".b.pt.123").write_text("half")
    unpack(packer.pack(), here)
    assert content(here) == {"metrics.jsonl": "1\n", "checkpoints/a.pt": "A", "checkpoints/a.pt.sha256": "a"}
    assert here.log.read_text() == "ours"
    assert here.metrics.stat().st_mtime_ns == there.metrics.stat().st_mtime_ns
    nothing = packer.pack()
    assert nothing.files == {}

    write(there, metrics_jsonl="1\n2\n", checkpoints__b_pt="B", checkpoints__b_pt_sha256="b", result_json="{}")
    for pruned in ("a.pt", "a.pt.sha256"):
        (there.checkpoints / pruned).unlink()
    parcel, order = packer.pack(), []
    monkeypatch.setattr(parcel_module, "write_atomically", lambda path, content: order.append(path))
    monkeypatch.setattr(parcel_module.os, "utime", lambda path, ns: order.append(sorted(here.checkpoints.iterdir())))
    unpack(parcel, here)
    before = [here.checkpoints / "a.pt", here.checkpoints / "a.pt.sha256"]
    assert order == [
        *(here.metrics, before, here.checkpoints / "b.pt.sha256", before, here.checkpoints / "b.pt", before),
        *(here.result, []),
    ]


def test_what_goes_while_it_is_packed_is_left_out(folders: list[RunFolder], monkeypatch: pytest.MonkeyPatch) -> None:
    there, _ = folders
    write(there, checkpoints__c_pt="C", metrics_jsonl="1\n2\n3\n")
    listed = parcel_module._records(there)
    (there.checkpoints / "c.pt").unlink()
    monkeypatch.setattr(parcel_module, "_records", lambda folder: listed)
    parcel = Packer(there).pack()
    assert "checkpoints/c.pt" not in parcel.names
    assert parcel.files["metrics.jsonl"][0] == b"1\n2\n3\n"
