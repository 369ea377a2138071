"""`labpool data upload`, `uploads` and `rm`: data of one's own."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from labpool.cli.options import connect, json_option, url_option
from labpool.cli.output import ago, amount, print_json, print_table, printable
from labpool.client import Client, NotThere

MB = 1e6


@click.command("upload")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--name", required=True, help="What it is called: small letters, digits and _.")
@click.option("--public", is_flag=True, help="Let every member see and use it.")
@url_option
@json_option
def data_upload(
    files: tuple[Path, ...], name: str, public: bool, url: str | None, as_json: bool
) -> None:
    """Upload FILES as a data set of your own.

    One NPZ file with x and y (or x_train, y_train, x_test, y_test), one CSV file with the label in
    the last column or in one named label, or two IDX files: images and labels.
    """
    with connect(url) as client:
        found = client.upload(files, name, public)
    if as_json:
        print_json(found)
        return
    shape = " × ".join(str(side) for side in found["shape"])
    print(
        f"{printable(found['name'])}: {sum(found['counts']):,} examples of {shape} in "
        f"{found['classes']} classes. In a spec: dataset: {printable(found['name'])}"
    )


@click.command("uploads")
@url_option
@json_option
def data_uploads(url: str | None, as_json: bool) -> None:
    """List your uploads and those that are public."""
    with connect(url) as client:
        found = client.uploads()
    if as_json:
        print_json(found)
        return
    print_table(
        ("number", "name", "kind", "shape", "classes", "examples", "MB", "public", "since"),
        (
            (
                item["id"],
                item["name"],
                item["kind"],
                " × ".join(str(side) for side in item["shape"]),
                item["classes"],
                sum(item["counts"]),
                amount(item["bytes"] / MB),
                "yes" if item["public"] else "no",
                ago(datetime.fromisoformat(item["created_at"])),
            )
            for item in found
        ),
    )


@click.command("rm")
@click.argument("name")
@url_option
def data_rm(name: str, url: str | None) -> None:
    """Delete the upload NAME (yours, or owner/name)."""
    with connect(url) as client:
        found = _upload_named(client, name)
        client.delete_upload(found["id"])
    print(f"{printable(found['name'])} is deleted.")


@click.command("share")
@click.argument("name")
@url_option
def data_share(name: str, url: str | None) -> None:
    """Make the upload NAME (yours, or owner/name) public, for good.

    What trials made of it opens with it: files, pictures, checkpoints, logs and predictions.
    """
    with connect(url) as client:
        found = client.share_upload(_upload_named(client, name)["id"])
    print(f"{printable(found['name'])} is public: every member may see and use it.")


def _upload_named(client: Client, name: str) -> dict[str, Any]:
    found = client.uploads()
    fitting = [u for u in found if name in (u["name"], u["name"].partition("/")[2])]
    if len(fitting) != 1:
        names = ", ".join(u["name"] for u in found) or "none"
        raise NotThere(f"There is not one upload {name!r}; you see {names}.")
    return fitting[0]
