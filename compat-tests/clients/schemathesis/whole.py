"""The OpenAPI document: that it is one, and that schemathesis finds nothing served otherwise than it says."""

import base64
import hashlib
import hmac
import json
import os
import pathlib
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from openapi_spec_validator import OpenAPIV31SpecValidator

from cases import ENDPOINT, case, equal, main

HERE = pathlib.Path(__file__).resolve().parent
DOCUMENT = f"{ENDPOINT}/v1/openapi.json"
SECRET = {"X-API-Key": os.environ["COMPAT_SK"]}
GUEST = {"X-API-Key": os.environ["COMPAT_PK"]}
# How many examples are made up for each operation and kind of data, beside those at the edges of what it takes.
EXAMPLES = int(os.environ.get("DRYSTONE_SCHEMATHESIS_EXAMPLES", "3"))
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
]


def coded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(user):
    head = coded(json.dumps({"alg": "HS256"}).encode())
    body = coded(json.dumps({"sub": user, "exp": int(time.time()) + 3600}).encode())
    key = os.environ["COMPAT_ISSUER_SECRET"].encode()
    return f"{head}.{body}.{coded(hmac.new(key, f'{head}.{body}'.encode(), hashlib.sha256).digest())}"


USER = GUEST | {"Authorization": f"Bearer {token('ann')}"}


def ask(who, path, data, kind="application/json"):
    request = urllib.request.Request(f"{ENDPOINT}/v1/{path}", data, who | {"Content-Type": kind}, method="POST")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def there(who):
    """Files, uploads and a webhook to ask about."""
    files = []
    for number in range(12):
        visibility = ["private", "public", "shared", "protected"][number % 4]
        path = f"files/upload?filename=note{number}.txt&visibility={visibility}"
        files.append(ask(who, path, b"some words", "text/plain")["id"])
    announced = {"filename": "a.png", "contentType": "image/png"}
    files.append(ask(who, "files/presigned-url", json.dumps(announced).encode())["fileId"])
    begun = [ask(who, "files/multipart/init", json.dumps(announced).encode())["uploadId"] for _ in range(4)]
    hook = {"url": "https://receiver.invalid/", "events": ["quota.exceeded"]}
    hooks = [ask(SECRET, "files/webhooks", json.dumps(hook).encode())["id"]]
    return {"id": files, "uploadId": begun, "webhookId": hooks}


def run(who, owner, phases):
    """Asks every operation as somebody does. Nothing is left to chance, so each run asks the same."""
    command = [str(pathlib.Path(sys.executable).parent / "schemathesis"), "run", DOCUMENT]
    for name, value in who.items():
        command += ["--header", f"{name}: {value}"]
    command += ["--checks", ",".join(CHECKS), "--phases", phases]
    command += ["--max-examples", str(EXAMPLES), "--generation-deterministic"]
    command += ["--continue-on-failure", "--no-shrink", "--warnings", "off", "--output-truncate", "false", "--no-color"]
    environment = os.environ | {
        "SCHEMATHESIS_HOOKS": "hooks",
        "PYTHONPATH": str(HERE),
        "COMPAT_THERE": json.dumps(there(owner)),
    }
    began = time.monotonic()
    ended = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(ended.stdout if ended.returncode else ended.stdout[-1500:], flush=True)
    print(f"{time.monotonic() - began:.0f} s", flush=True)
    equal(ended.returncode, 0, "what schemathesis ended with")


@case
def the_document_is_openapi_3_1():
    with urllib.request.urlopen(DOCUMENT) as answer:
        document = json.load(answer)
    equal(document["openapi"], "3.1.0", "version")
    problems = [f"{list(error.absolute_path)}: {error.message}" for error in OpenAPIV31SpecValidator(document).iter_errors()]
    equal(problems, [], "problems")


@case
def a_user_is_served_as_the_document_says():
    run(USER, USER, "fuzzing")


@case
def a_guest_is_served_as_the_document_says():
    run(GUEST, USER, "fuzzing")


# Every bound of every field is tried by the one whom nothing is denied; the last one, since it sets up as many webhooks as there
# may be.
@case
def a_server_is_served_as_the_document_says():
    run(SECRET, SECRET, "coverage,fuzzing")


main()
