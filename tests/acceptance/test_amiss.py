"""Where something is amiss: it is said what is wrong and what to do, and a second try works.

no compiler             test_the_demo_needs_neither_network_nor_compiler;
                        test_doctor.py test_no_compiler_is_said_and_harmless
port taken              test_a_port_that_is_free_again; test_up.py test_a_taken_port_is_named
Python too old          test_set_up.py test_an_old_python_is_named,
                        test_an_old_python3_on_the_path_is_named_and_a_second_try_works;
                        test_doctor.py test_an_old_python_is_told_what_it_is
read-only folder        test_a_read_only_folder_and_a_second_try;
                        test_up.py test_a_folder_that_cannot_be_written_to_is_named
Ctrl-C in mid set-up    test_set_up.py test_an_interrupted_set_up_is_redone;
                        test_demo.py test_ctrl_c_in_the_middle_stops_everything
a second `labpool up`   test_up.py test_a_second_up_on_the_same_folder_is_refused,
                        test_it_stops_cleanly_and_starts_again,
                        test_kill_9_leaves_no_orphans_and_the_next_start_works
broker killed           test_up.py test_a_killed_part_is_named_and_started_again;
                        test_flow.py test_a_submission_while_the_broker_is_down_is_run;
                        test_doctor.py test_a_broker_that_hangs_is_named
disk full               test_a_full_disk_and_a_second_try,
                        test_a_disk_that_fills_up_while_the_service_runs
no network              test_the_demo_needs_neither_network_nor_compiler
wrong token             test_a_wrong_token_is_refused_and_the_right_one_works;
                        test_doctor.py test_a_wrong_token_is_named
database newer          test_a_newer_database_and_a_second_try;
                        test_up.py test_a_newer_database_is_refused
GPU asked, none there   test_a_gpu_that_nobody_has_is_said_everywhere;
                        test_flow.py test_it_works
"""

from __future__ import annotations

import json
import re
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.child import child_environment
from deploy.data_folder import read_json
from labpool import Client
from labpool.cli.exit_codes import ExitCode
from labpool.client import ApiError
from tests.support.confined import confined, is_possible
from tests.support.processes import free_port, kept_environment
from tests.support.up import SMALL_MLP, Up, client_of, run_module, run_up, running_up

TINY_DISK_KIB = 4 * 1024
# Nothing listens there: whoever asks the network gets an error at once.
NOWHERE = "http://127.0.0.1:9"
NO_NETWORK = {
    "HTTP_PROXY": NOWHERE,
    "HTTPS_PROXY": NOWHERE,
    "http_proxy": NOWHERE,
    "https_proxy": NOWHERE,
    "PIP_NO_INDEX": "1",
}


def labpool(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """The command line as somebody types it."""
    return subprocess.run(
        [sys.executable, "-c", "from labpool.cli import main; main()", *arguments],
        env=child_environment({**kept_environment(), **settings}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One service for the tests that leave it as it was."""
    with running_up(tmp_path_factory.mktemp("amiss")) as service:
        service.wait_ready()
        yield service


def test_a_wrong_token_is_refused_and_the_right_one_works(up: Up) -> None:
    known = read_json(up.data_dir / "client.json")
    wrong = labpool("ls", LABPOOL_URL=known["url"], LABPOOL_TOKEN="lp_1_wrong")
    assert wrong.returncode == ExitCode.REFUSED
    assert "wrong, revoked or expired" in wrong.stderr
    assert "labpool token" in wrong.stderr
    right = labpool("ls", LABPOOL_URL=known["url"], LABPOOL_TOKEN=known["token"])
    assert right.returncode == ExitCode.OK, right.stderr


def test_a_gpu_that_nobody_has_is_said_everywhere(up: Up, tmp_path: Path) -> None:
    settings = {"LABPOOL_DATA_DIR": str(up.data_dir)}
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps({**SMALL_MLP, "device": "gpu"}))
    made = json.loads(labpool("submit", str(spec), "--json", **settings).stdout)
    (trial,) = made["trials"]
    reason = "needs a GPU slot; the pool has none"
    assert reason in labpool("show", "--trial", str(trial), **settings).stdout
    assert reason in labpool("pool", **settings).stdout
    watched = labpool("watch", str(made["experiment"]), "--timeout", "1", **settings)
    assert watched.returncode == ExitCode.TIMED_OUT
    assert reason in watched.stderr
    told = run_module("deploy.doctor", **settings)
    assert told.returncode == 1
    assert reason in told.stdout
    assert f"labpool cancel {trial} --trial" in told.stdout

    assert labpool("cancel", str(trial), "--trial", **settings).returncode == ExitCode.OK
    spec.write_text(json.dumps({**SMALL_MLP, "device": "cpu"}))
    again = labpool("submit", str(spec), "--watch", **settings)
    assert again.returncode == ExitCode.OK, again.stderr


def test_a_port_that_is_free_again(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = str(listener.getsockname()[1])
        result = run_up("--data-dir", str(tmp_path / "data"), "--port", port)
        assert result.returncode == 1
        assert f"--port {int(port) + 1}" in result.stderr
    with running_up(tmp_path, "--port", port) as up:
        assert up.wait_ready()["url"] == f"http://127.0.0.1:{port}"


def test_a_newer_database_and_a_second_try(tmp_path: Path) -> None:
    settings = {"LABPOOL_DATA_DIR": str(tmp_path / "data")}
    assert run_module("deploy.migrate", **settings).returncode == 0
    path = tmp_path / "data" / "labpool.db"
    known = set_revision(path, "from_the_future")
    result = run_up("--data-dir", str(tmp_path / "data"), "--port", "0")
    assert result.returncode == 1
    assert "written by a newer labpool; update this one" in result.stderr
    # As if this labpool had been updated.
    set_revision(path, known)
    with running_up(tmp_path) as up:
        up.wait_ready()


def set_revision(path: Path, revision: str) -> str:
    """Write the schema's revision; the one before."""
    connection = sqlite3.connect(path)
    with connection:
        (known,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    connection.close()
    return str(known)


def test_a_read_only_folder_and_a_second_try(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    if is_possible():
        folder.mkdir(mode=0o700)
        before = confined("--read-only", str(folder))
        reason = "Read-only file system"
    else:
        folder.touch()
        before, reason = [], "exists"
    result = run_up("--data-dir", str(folder), "--port", "0", before=before)
    assert result.returncode == 1
    assert reason in result.stderr
    assert "--data-dir" in result.stderr
    if folder.is_file():
        folder.unlink()
    with running_up(tmp_path) as up:
        up.wait_ready()


def test_a_full_disk_and_a_second_try(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    if is_possible():
        # No room for the file; room for the file and not for its tables.
        attempts = [confined("--tiny-disk", str(folder), size) for size in ("4", "64")]
    else:
        # A process that may write no file of more than some blocks meets the same end.
        attempts = [["sh", "-c", f'ulimit -f {size}; exec "$@"', "sh"] for size in ("1", "64")]
    for before in attempts:
        full = run_up("--data-dir", str(folder), "--port", "0", before=before)
        assert full.returncode == 1
        assert re.search("disk is full|No space left|File too large|disk I/O error", full.stderr)
        assert "df -h" in full.stderr
        assert "Traceback" not in full.stderr
    with running_up(tmp_path) as up:
        up.wait_ready()


def test_a_disk_that_fills_up_while_the_service_runs(tmp_path: Path) -> None:
    if not is_possible():
        pytest.fail("this machine allows no namespaces, so a full disk cannot be tried here")
    (tmp_path / "data").mkdir(mode=0o700)
    before = confined("--tiny-disk", str(tmp_path / "data"), str(TINY_DISK_KIB))
    # A slot would not even look at the queue on a disk as small as this one.
    with running_up(tmp_path, before=before, LABPOOL_MIN_FREE_MB="0") as up:
        up.wait_ready()
        inside = Path(f"/proc/{up.pid}/root{up.data_dir}")
        filler = inside / "somebody-elses-film"
        with client_of(up) as client:
            fill(filler)
            with pytest.raises(ApiError, match="database is full; nothing was stored") as refused:
                # The files on the disk may have a little room of their own left.
                for _ in range(50):
                    client.submit(SMALL_MLP)
            assert not refused.value.permanent
            filler.unlink()
            assert client.wait(client.submit(SMALL_MLP).id, timeout_s=120).succeeded


def fill(path: Path) -> None:
    """A file that takes all the room there is."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            pass


@pytest.mark.timeout(400)
def test_the_demo_needs_neither_network_nor_compiler(tmp_path: Path) -> None:
    """The second part of `make demo`: after the environment was made."""
    empty = tmp_path / "bin"
    empty.mkdir()
    home = tmp_path / "home"
    home.mkdir()
    environment = child_environment(
        kept_environment(), PATH=str(empty), HOME=str(home), **NO_NETWORK
    )
    before = confined("--no-network") if is_possible() else []
    if before:
        probe = "import socket; socket.create_connection(('1.1.1.1', 53), 2)"
        reached = subprocess.run(
            [*before, sys.executable, "-c", probe], check=False, capture_output=True, text=True
        )
        assert "Network is unreachable" in reached.stderr
    folder = str(tmp_path / "demo")
    result = subprocess.run(
        [*before, sys.executable, "-m", "deploy.demo", "--data-dir", folder, "--epochs", "1"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=380,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    trials = json.loads(result.stdout.splitlines()[-1])["trials"]
    assert [trial["state"] for trial in trials] == ["succeeded"] * 6


def test_every_test_that_is_named_above_exists() -> None:
    folder = Path(__file__).parent
    checked, here = 0, ""
    for line in (__doc__ or "").splitlines():
        # A line that is not indented begins a new thing that can be amiss.
        here = here if line.startswith(" ") else Path(__file__).name
        for name in re.findall(r"\btest_\w+(?:\.py)?", line):
            if name.endswith(".py"):
                here = name
                continue
            assert f"def {name}(" in (folder / here).read_text(encoding="utf-8"), (here, name)
            checked += 1
    assert checked > 20


def test_a_service_that_is_away_is_said_and_a_second_try_works(up: Up) -> None:
    away = labpool("ls", LABPOOL_URL=f"http://127.0.0.1:{free_port()}", LABPOOL_TOKEN="lp_1_x")
    assert away.returncode == ExitCode.NO_SERVICE
    assert "labpool up" in away.stderr
    known = read_json(up.data_dir / "client.json")
    with Client(known["url"], known["token"]) as client:
        assert client.boards()
