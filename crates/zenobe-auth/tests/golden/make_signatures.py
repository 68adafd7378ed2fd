"""Writes signatures.txt: requests signed by botocore, which the tests then verify.

Run with a Python that has botocore: python make_signatures.py > signatures.txt
The keys and the moment are those of AWS's published Signature Version 4 test suite.
"""

import datetime
from unittest import mock

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
NOW = datetime.datetime(2015, 8, 30, 12, 36, 0)
TOKEN = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMic"

# name, method, path with query, headers, body, session token, form
CASES = [
    ("get-vanilla", "GET", "/", [], "", None, "header"),
    ("get-vanilla-query-order-key-case", "GET", "/?Param2=value2&Param1=value1", [], "", None, "header"),
    ("get-vanilla-empty-query-key", "GET", "/?Param1=value1", [], "", None, "header"),
    ("get-unreserved", "GET", "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", [], "", None, "header"),
    ("get-utf8", "GET", "/%E1%88%B4", [], "", None, "header"),
    ("get-space", "GET", "/example%20space/", [], "", None, "header"),
    ("get-relative", "GET", "/example/..", [], "", None, "header"),
    ("get-slashes", "GET", "//example//", [], "", None, "header"),
    ("get-slash-dot-slash", "GET", "/./example", [], "", None, "header"),
    ("get-header-value-trim", "GET", "/", [("My-Header1", "  value1"), ("My-Header2", '"a   b   c"')], "", None, "header"),
    ("post-vanilla", "POST", "/", [], "", None, "header"),
    ("post-x-www-form-urlencoded", "POST", "/", [("Content-Type", "application/x-www-form-urlencoded")], "Param1=value1", None, "header"),
    ("post-dynamodb", "POST", "/", [("Content-Type", "application/x-amz-json-1.0"), ("X-Amz-Target", "DynamoDB_20120810.GetItem")], '{"TableName":"t","Key":{"id":{"S":"\u00e9\u6f22"}}}', None, "header"),
    ("post-session-token", "POST", "/", [("X-Amz-Target", "DynamoDB_20120810.ListTables")], "{}", TOKEN, "header"),
    ("post-content-sha256", "POST", "/", [("X-Amz-Content-SHA256", "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a")], "{}", None, "header"),
    ("post-unsigned-payload", "POST", "/", [("X-Amz-Content-SHA256", "UNSIGNED-PAYLOAD")], "not covered", None, "header"),
    ("post-host-with-port", "POST", "/", [("Host", "localhost:8000")], "{}", None, "header"),
    ("presigned-get", "GET", "/?Action=DescribeEndpoints", [], "", None, "query"),
    ("presigned-post", "POST", "/", [("X-Amz-Target", "DynamoDB_20120810.ListTables")], "", None, "query"),
    ("presigned-session-token", "GET", "/", [], "", TOKEN, "query"),
]


class Clock(datetime.datetime):
    @classmethod
    def utcnow(cls):
        return NOW

    @classmethod
    def now(cls, tz=None):
        return NOW.replace(tzinfo=tz)


def main():
    for name, method, path, headers, body, token, form in CASES:
        headers = dict(headers)
        host = headers.get("Host", "example.amazonaws.com")
        headers["Host"] = host
        request = AWSRequest(method, f"http://{host}{path}", headers=headers, data=body.encode())
        signer = botocore.auth.SigV4QueryAuth if form == "query" else botocore.auth.SigV4Auth
        args = {"expires": 3600} if form == "query" else {}
        with mock.patch("botocore.auth.get_current_datetime", lambda *a, **k: NOW), \
                mock.patch("botocore.auth.datetime", mock.Mock(datetime=Clock), create=True):
            signer(Credentials(KEY, SECRET, token), "service", "us-east-1", **args).add_auth(request)
        print(f"=== {name}")
        url = request.url.split(host, 1)[1]
        print(f"{method} {url}")
        for key, value in request.headers.items():
            print(f"{key}:{value}")
        print()
        print(body)


main()
