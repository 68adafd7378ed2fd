"""A full disk: writes are refused and say why, reads go on, and writes do again once there is room."""

import json
import os
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError

from conftest import Server, client_for, make_table

DISK_MB = 24


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own with little room. Needs the right to mount."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(disk)], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("SKIPPED: a full disk: mounting a file system is not permitted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def health(server):
    try:
        with urllib.request.urlopen(f"{server.endpoint}/health", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def put(client, n):
    client.put_item(TableName="big", Item={"pk": {"S": str(n)}, "pad": {"S": "x" * 50_000}})


def number_there(client, n):
    return len(client.get_item(TableName="big", Key={"pk": {"S": str(n)}}, ConsistentRead=True).get("Item", {}))


@pytest.mark.skipif("ZENOBE_ENDPOINT" in os.environ, reason="fills the disk of its server")
@pytest.mark.parametrize("flags", [(), ("--memtable-mb", "16")], ids=["large memtable", "small memtable"])
def test_a_full_disk(small_disk, flags):
    server = Server(small_disk / "data", *flags).start()
    client = client_for(server.endpoint)
    make_table(client, "big", [("pk", "S")])
    assert health(server) == (200, {"status": "ok"})

    acknowledged = 0
    with pytest.raises(ClientError) as refused:
        while acknowledged < DISK_MB * 20:
            put(client, acknowledged)
            acknowledged += 1
    error = refused.value.response
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert error["Error"] == {
        "Code": "InternalServerError", "Message": "Internal server error: no room for more writes"}
    assert 20 < acknowledged

    # It stays like that, and everything that was acknowledged can be read.
    status, body = health(server)
    assert (status, body["status"]) == (503, "writes refused")
    # With the small memtable it is mostly the tree, but the log may be first.
    causes = ["rows cannot be flushed: ", "the log cannot grow: "]
    assert any(body["reason"].startswith(f"no room for more writes: {cause}") for cause in causes), body
    for n in range(acknowledged):
        assert number_there(client, n) == 2, n
    with pytest.raises(ClientError):
        for n in range(20):
            put(client, f"more{n}")

    subprocess.run(["mount", "-o", f"remount,size={DISK_MB * 10}m", str(small_disk)], check=True)
    deadline = time.monotonic() + 20
    while health(server)[0] != 200:
        assert time.monotonic() < deadline, health(server)
        time.sleep(0.05)
    for n in range(acknowledged, acknowledged + 200):
        put(client, n)
    server.kill()
    server.start()
    client = client_for(server.endpoint)
    for n in range(acknowledged + 200):
        assert number_there(client, n) == 2, n
    assert health(server) == (200, {"status": "ok"})
    server.stop()
