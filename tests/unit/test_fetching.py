"""Files from mirrors that misbehave, fetched once however many ask."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from labpool.catalog import Catalog, DatasetEntry
from labpool.downloads import NotFetched, Patience
from labpool.errors import CatalogError
from labpool.holdings import EXAMPLES, HoldingBroken, NotHeld, held, record_of, verify
from labpool.taking_in import fetch
from tests.support.mirrors import mirror
from tests.support.small_sets import NAMES, catalog_folder, cifar_file, digits_files

CHECKOUT = Path(__file__).resolve().parents[2]
SHORT = Patience(timeout_s=0.5, window_s=0.3, least_bytes_s=1000)
FILES = digits_files()
LABPOOL = (sys.executable, "-c", "from labpool.cli import main; main()")


def entry_of(
    folder: Path, urls: Callable[[str], list[str]], files: dict[str, bytes] | None = None
) -> DatasetEntry:
    return Catalog.load([catalog_folder(folder / "c", files or FILES, urls)]).datasets["small"]


def test_it_works(tmp_path: Path) -> None:
    seen = []
    with mirror(FILES) as server:
        entry = entry_of(tmp_path, lambda name: [server.url("good", name)])
        record = fetch(entry, tmp_path / "d", lambda *progress: seen.append(progress))
        again = fetch(entry, tmp_path / "d")
        assert len(server.asked) == 4, "what is there is not fetched again"
    assert record == again == verify(tmp_path / "d", "small")
    assert (record.counts, record.test, record.pinned) == ([40] * 10, 100, True)
    assert seen[-1] == (NAMES[3], len(FILES[NAMES[3]]), len(FILES[NAMES[3]]))
    assert sorted(path.name for path in (tmp_path / "d").iterdir()) == [".small.lock", "small"]


def test_the_archive_of_cifar_is_fetched_and_read(tmp_path: Path) -> None:
    with mirror(cifar_file()) as server:
        entry = entry_of(tmp_path, lambda name: [server.url("good", name)], cifar_file())
        record = fetch(entry, tmp_path / "d")
    assert (record.shape, record.test, record.counts) == ([32, 32, 3], 20, [12] * 10)


@pytest.mark.parametrize(
    ("manner", "says"),
    [
        ("cut", "peer closed connection"),
        ("longer", "would send"),
        ("endless", "sends more than the"),
        ("wrong", "gives a file of the sha256"),
        ("missing", "answers 404"),
        ("silent", "timed out"),
        ("drips", "bytes a second"),
        ("elsewhere", "leads to mirror.example without encryption"),
    ],
)
def test_a_mirror_that_misbehaves_is_named_and_the_next_one_asked(
    tmp_path: Path, manner: str, says: str
) -> None:
    with mirror(FILES) as server:
        bad = entry_of(tmp_path / "bad", lambda name: [server.url(manner, name)])
        with pytest.raises(NotFetched) as caught:
            fetch(bad, tmp_path / "d", patience=SHORT)
        assert record_of(tmp_path / "d", "small") is None
        message = str(caught.value)
        assert says in message and server.url(manner, NAMES[0]) in message
        assert "`labpool data fetch small`" in message and "`labpool data import small" in message
        both = entry_of(
            tmp_path / "both", lambda name: [server.url(manner, name), server.url("good", name)]
        )
        assert fetch(both, tmp_path / "d", patience=SHORT).pinned


def test_what_broke_off_is_gone_on_with(tmp_path: Path) -> None:
    with mirror(FILES) as server:
        with pytest.raises(NotFetched):
            fetch(entry_of(tmp_path / "1", lambda name: [server.url("cut", name)]), tmp_path / "d")
        part = tmp_path / "d" / ".small.parts" / f"{NAMES[0]}.part"
        half = part.stat().st_size
        assert 0 < half < len(FILES[NAMES[0]])
        fetch(entry_of(tmp_path / "2", lambda name: [server.url("good", name)]), tmp_path / "d")
        assert ("good", f"bytes={half}-") in server.asked
    verify(tmp_path / "d", "small")


@pytest.mark.parametrize("manner", ["no_ranges", "good", "stranger"])
def test_a_part_that_cannot_be_gone_on_with_is_begun_anew(tmp_path: Path, manner: str) -> None:
    parts = tmp_path / "d" / ".small.parts"
    parts.mkdir(parents=True)
    (parts / f"{NAMES[0]}.part").write_bytes(b"not the beginning of it")
    with mirror(FILES) as server:
        assert fetch(
            entry_of(tmp_path, lambda name: [server.url(manner, name)]), tmp_path / "d"
        ).pinned


def test_no_network_says_both_ways(tmp_path: Path) -> None:
    entry = entry_of(tmp_path, lambda name: [f"http://127.0.0.1:9/{name}"])
    with pytest.raises(NotFetched, match=r"refused.*labpool data fetch small.*labpool data import"):
        fetch(entry, tmp_path / "d")


def test_ten_processes_fetch_once(tmp_path: Path) -> None:
    with mirror(FILES) as server:
        root = catalog_folder(tmp_path / "c", FILES, lambda name: [server.url("good", name)])
        command = [*LABPOOL, "data", "fetch", "small", "--json"]
        environment = {
            "PATH": "", "HOME": str(tmp_path), "PYTHONPATH": str(CHECKOUT),
            "LABPOOL_CATALOG_PATH": str(root), "LABPOOL_DATASETS_DIR": str(tmp_path / "d"),
        }  # fmt: skip
        ten = [
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
            for _ in range(10)
        ]
        said = [process.communicate(timeout=200)[0] for process in ten]
        assert [process.returncode for process in ten] == [0] * 10
        assert len(server.asked) == 4, "four files, each asked for once"
    assert len(set(said)) == 1, "all ten tell of the same record"


def test_one_that_is_killed_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    with mirror(FILES) as server:
        root = catalog_folder(tmp_path / "c", FILES, lambda name: [server.url("drips", name)])
        environment = {
            "PATH": "", "HOME": str(tmp_path), "PYTHONPATH": str(CHECKOUT),
            "LABPOOL_CATALOG_PATH": str(root), "LABPOOL_DATASETS_DIR": str(tmp_path / "d"),
        }  # fmt: skip
        with subprocess.Popen(
            [*LABPOOL, "data", "fetch", "small"],
            env=environment, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            assert process.stderr is not None
            while not server.asked:
                assert process.poll() is None
            process.kill()
        entry = entry_of(tmp_path / "2", lambda name: [server.url("good", name)])
        assert fetch(entry, tmp_path / "d").pinned


def test_damage_is_found(tmp_path: Path) -> None:
    with mirror(FILES) as server:
        fetch(entry_of(tmp_path, lambda name: [server.url("good", name)]), tmp_path / "d")
    path = tmp_path / "d" / "small" / EXAMPLES
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    held(tmp_path / "d", "small")
    with pytest.raises(HoldingBroken, match="sha256"):
        verify(tmp_path / "d", "small")
    path.write_bytes(content[:-1])
    with pytest.raises(HoldingBroken, match="bytes"):
        held(tmp_path / "d", "small")
    with pytest.raises(NotHeld, match="labpool data fetch other"):
        held(tmp_path / "d", "other")


def test_a_mirror_without_encryption_is_refused_in_the_catalog(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="https://"):
        entry_of(tmp_path, lambda name: [f"http://mirror.example/{name}"])
