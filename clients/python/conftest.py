"""Starts one server for all tests, or uses the one that ZENOBE_ENDPOINT names."""

import os
import socket
import subprocess
import time
import urllib.request
import uuid

import boto3
import pytest
from botocore.config import Config


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A server process with a data directory of its own."""

    def __init__(self, data_dir, *flags):
        self.data_dir = data_dir
        self.flags = flags
        self.port = free_port()
        self.process = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        self.process = subprocess.Popen(
            [os.environ["ZENOBE_BIN"], "--listen", f"127.0.0.1:{self.port}",
             "--data-dir", str(self.data_dir), *self.flags],
            stdout=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 10
        while True:
            try:
                urllib.request.urlopen(f"{self.endpoint}/health", timeout=1).read()
                return self
            except OSError:
                assert self.process.poll() is None, "the server ended at its start"
                assert time.monotonic() < deadline, "the server did not come up"
                time.sleep(0.01)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        assert self.process.wait(timeout=20) == 0


def client_for(endpoint, **config):
    return boto3.client(
        "dynamodb", endpoint_url=endpoint, region_name="us-east-1",
        aws_access_key_id="test", aws_secret_access_key="test",
        config=Config(retries={"max_attempts": 2}, **config),
    )


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory):
    if "ZENOBE_ENDPOINT" in os.environ:
        yield os.environ["ZENOBE_ENDPOINT"]
        return
    server = Server(tmp_path_factory.mktemp("data")).start()
    yield server.endpoint
    server.stop()


@pytest.fixture(scope="session")
def dynamodb(endpoint):
    return client_for(endpoint)


@pytest.fixture(scope="session")
def resource(endpoint):
    return boto3.resource(
        "dynamodb", endpoint_url=endpoint, region_name="us-east-1",
        aws_access_key_id="test", aws_secret_access_key="test",
    )


@pytest.fixture
def name():
    return "t" + uuid.uuid4().hex[:12]


@pytest.fixture
def table(dynamodb, name):
    """A table with partition key `pk` (S) and sort key `sk` (N)."""
    make_table(dynamodb, name, [("pk", "S"), ("sk", "N")])
    yield name
    dynamodb.delete_table(TableName=name)


def schema(attributes):
    kinds = ["HASH", "RANGE"]
    return [{"AttributeName": a, "KeyType": kinds[i]} for i, (a, _) in enumerate(attributes)]


def definitions(*attributes):
    return [{"AttributeName": a, "AttributeType": t} for a, t in attributes]


def make_table(dynamodb, name, keys, extra=(), **parameters):
    dynamodb.create_table(
        TableName=name, KeySchema=schema(keys),
        AttributeDefinitions=definitions(*keys, *extra),
        BillingMode="PAY_PER_REQUEST", **parameters,
    )
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
