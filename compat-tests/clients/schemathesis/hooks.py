"""What schemathesis asks about: half of the ids that it makes up are those of files, uploads and webhooks that are there."""

import json
import os
import urllib.request
import uuid

import schemathesis

THERE = json.loads(os.environ["COMPAT_THERE"])


def _number(value):
    try:
        return uuid.UUID(str(value)).int
    except ValueError:
        return sum(str(value).encode("utf-8", "surrogatepass"))


def _there(ids, value):
    """One of the ids for half of the values; which one hangs on the value alone, so that every run is the same."""
    number = _number(value)
    return ids[number // 2 % len(ids)] if number % 2 and ids else value


def _uuid(value):
    try:
        return isinstance(value, str) and bool(uuid.UUID(value))
    except ValueError:
        return False


@schemathesis.hook
def before_call(context, case, kwargs):
    named = case.path_parameters or {}
    for name in ("id", "webhookId"):
        if _uuid(named.get(name)):
            named[name] = _there(THERE[name], named[name])
    if isinstance(named.get("uploadId"), str) and named["uploadId"].isalnum():
        named["uploadId"] = _there(THERE["uploadId"], named["uploadId"])
    body = case.body
    if isinstance(body, dict):
        if isinstance(body.get("uploadId"), str):
            body["uploadId"] = _there(THERE["uploadId"], body["uploadId"])
        for name in ("ids", "activate", "delete"):
            if isinstance(body.get(name), list):
                body[name] = [_there(THERE["id"], one) if isinstance(one, str) else one for one in body[name]]


@schemathesis.hook
def after_call(context, case, response):
    """Takes away a quota that was set, or nothing could be stored from then on."""
    if case.path != "/v1/files/quotas" or case.method.upper() != "PUT" or response.status_code != 200:
        return
    names = response.json()
    gone = {"environment": None, "defaultOwner": None}
    gone |= {kind: dict.fromkeys(names[kind]) for kind in ("owners", "buckets")}
    headers = {"X-API-Key": os.environ["COMPAT_SK"], "Content-Type": "application/json"}
    url = f"{os.environ['COMPAT_ENDPOINT']}/v1/files/quotas"
    urllib.request.urlopen(urllib.request.Request(url, json.dumps(gone).encode(), headers, method="PUT")).close()
