"""The pages of data sets, and the pictures on them."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from labpool.readers import from_files
from labpool.readers.picture import picture_of
from labpool.settings import CHECKOUT
from tests.integration.test_uploads import GOOD, SPEC
from tests.support.api import Api
from tests.support.hostile import npz, written

pytest_plugins = ["tests.support.api_fixtures"]


def pixels(png: bytes) -> np.ndarray:
    """The picture [height, width, 3] of a PNG as labpool writes it."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    size = int.from_bytes(png[33:37], "big")
    lines = zlib.decompress(png[41 : 41 + size])
    rows = np.frombuffer(lines, np.uint8).reshape(height, 1 + 3 * width)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, 3)


def test_it_works(api: Api) -> None:
    browser = api.browser()
    page = browser.get("/datasets")
    assert page.status_code == 200
    for name in api.catalog.datasets:
        assert f'id="dataset-{name}"' in page.text
        assert browser.get(f"/datasets/{name}").status_code == 200
    assert "labpool data fetch mnist" in browser.get("/datasets/mnist").text
    assert "labpool data preview digits" in browser.get("/datasets/digits").text
    assert browser.get("/datasets/nothing").status_code == 404


def test_a_form_uploads_shows_and_deletes(api: Api) -> None:
    browser = api.browser()
    token = browser.form_token("/datasets")
    headers = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}

    def upload(content: bytes, csrf: str = token) -> object:
        form = {"csrf_token": csrf, "name": "flowers", "file": (io.BytesIO(content), "a.npz")}
        return browser.client.post("/datasets", data=form, headers=headers)

    assert upload(GOOD, "forged").status_code == 403
    bad = upload(b"nothing")
    assert bad.status_code == 422 and "too short for a zip file" in bad.text
    done = upload(GOOD)
    assert (done.status_code, done.location) == (303, "/datasets/owner/flowers")
    page = browser.get("/datasets/owner/flowers").text
    assert 'src="/datasets/owner/flowers/picture"' in page and "dataset: owner/flowers" in page
    picture = browser.get("/datasets/owner/flowers/picture")
    assert picture.mimetype == "image/png" and pixels(picture.data).shape[2] == 3
    other = api.browser("teammate")
    assert other.get("/datasets/owner/flowers").status_code == 404
    assert other.get("/datasets/owner/flowers/picture").status_code == 404
    assert "owner/flowers" not in other.get("/datasets").text
    assert api.owner.submit(SPEC).status_code == 201
    again = browser.form_token("/datasets")
    refused = browser.send("/datasets/uploads/1/delete", {"csrf_token": again})
    assert refused.status_code == 409
    api.owner.post("/api/v1/experiments/1/cancel")
    gone = browser.send("/datasets/uploads/1/delete", {"csrf_token": again})
    assert gone.status_code == 303
    assert browser.get("/datasets/owner/flowers").status_code == 404


def test_a_large_form_of_nobody_is_not_read(quick_api: Api) -> None:
    answer = quick_api.app.test_client().post(
        "/datasets", data={"file": (io.BytesIO(bytes(100_000)), "a.npz")},
        headers={"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"},
    )  # fmt: skip
    assert answer.status_code == 401


def test_a_sheet_shows_each_class_in_its_row(tmp_path: Path) -> None:
    # Class k is a plain grey of 80 * k.
    labels = np.arange(30) % 3
    images = np.repeat(labels * 80, 16).reshape(30, 4, 4).astype(np.uint8)
    sheet = picture_of(from_files([written(tmp_path, "a.npz", npz(x=images, y=labels))]))
    assert sheet is not None
    found = pixels(sheet)
    height = (found.shape[0] - 3) // 3
    for row in range(3):
        assert (found[3 + row * height + 5, 5] == 80 * row).all()


@pytest.mark.parametrize("shape", [(30, 300, 7), (30, 2, 2, 3), (30, 5, 1, 4), (30, 1024, 1024, 1)])
def test_any_shape_can_be_drawn(tmp_path: Path, shape: tuple[int, ...]) -> None:
    images = np.zeros(shape, np.uint8)
    path = written(tmp_path, "a.npz", npz(x=images, y=np.arange(30) % 2))
    sheet = picture_of(from_files([path]))
    assert sheet is not None and pixels(sheet).size > 0 and len(sheet) < 1_000_000


def test_points_are_drawn_where_they_are(tmp_path: Path) -> None:
    points = np.array([[0, 0], [1, 1]] * 10, np.float32)
    drawn = picture_of(from_files([written(tmp_path, "a.npz", npz(x=points, y=np.arange(20) % 2))]))
    assert drawn is not None
    found = pixels(drawn)
    assert (found[-21, 21] != 255).any() and (found[20, -21] != 255).any()
    assert (found[240, 240] == 255).all()


def test_the_catalogs_sets_are_drawn_by_a_command(quick_api: Api, tmp_path: Path) -> None:
    environment = {
        "PATH": os.defpath, "HOME": str(tmp_path), "PYTHONPATH": str(CHECKOUT),
        "LABPOOL_DATA_DIR": str(tmp_path / "data"),
    }  # fmt: skip
    command = [sys.executable, "-m", "deploy.previews"]
    done = subprocess.run(
        [*command, "digits", "spirals"], env=environment, check=True,
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["digits: drawn", "spirals: drawn"]
    browser = quick_api.browser()
    for name in ("digits", "spirals"):
        page = browser.get(f"/datasets/{name}").text
        assert f'src="/datasets/{name}/picture"' in page
        assert pixels(browser.get(f"/datasets/{name}/picture").data).size > 0
    missing = subprocess.run(
        [*command, "mnist"], env=environment, check=False, capture_output=True, text=True
    )
    assert missing.returncode == 1 and "labpool data fetch mnist" in missing.stdout
