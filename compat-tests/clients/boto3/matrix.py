"""One short life of a bucket for every mix of path style or virtual host, http or https, and two regions.

The suite starts one server without and one with TLS. Virtual hosts are resolved here: every name below the domain is loopback.
"""

import os
import pathlib
import socket
import sys
import urllib.request
import ssl

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

DOMAIN = os.environ["COMPAT_DOMAIN"]
AUTHORITY = os.environ["COMPAT_CA"]
_resolve = socket.getaddrinfo


def resolve(host, *arguments, **named):
    name = host.decode() if isinstance(host, bytes) else host
    if name == DOMAIN or name.endswith("." + DOMAIN):
        host = "127.0.0.1"
    return _resolve(host, *arguments, **named)


socket.getaddrinfo = resolve

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from cases import ACCESS_KEY, SECRET_KEY, case, data, equal, main

PORTS = {"http": os.environ["COMPAT_HTTP_PORT"], "https": os.environ["COMPAT_HTTPS_PORT"]}


def life(scheme, style, region):
    s3 = boto3.client(
        "s3",
        endpoint_url=f"{scheme}://{DOMAIN}:{PORTS[scheme]}",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name=region,
        verify=AUTHORITY if scheme == "https" else None,
        config=Config(signature_version="s3v4", s3={"addressing_style": style}, retries={"max_attempts": 1}),
    )
    hosts = []
    s3.meta.events.register("before-send.s3", lambda request, **_: hosts.append(request.url))
    bucket = f"matrix-{style}-{region}"
    s3.create_bucket(Bucket=bucket, **({} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}))
    try:
        content = data(1, 200_000)
        for key in ("plain", "folder//ünï +%/x", "v1/files", "minio/health/live"):
            s3.put_object(Bucket=bucket, Key=key, Body=content)
            equal(s3.get_object(Bucket=bucket, Key=key)["Body"].read(), content, key)
        upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
        where = {"Bucket": bucket, "Key": "parts", "UploadId": upload}
        parts = [
            {"PartNumber": number, "ETag": s3.upload_part(**where, PartNumber=number, Body=data(number, length))["ETag"]}
            for number, length in ((1, 5 * 1024 * 1024), (2, 17))
        ]
        s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
        equal(s3.get_object(Bucket=bucket, Key="parts", Range="bytes=5242870-")["Body"].read(), data(1, 5 * 1024 * 1024)[-10:] + data(2, 17))
        s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "folder//ünï +%/x"})
        equal(len(s3.list_objects_v2(Bucket=bucket)["Contents"]), 6)
        assert bucket in [entry["Name"] for entry in s3.list_buckets()["Buckets"]]
        url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "folder//ünï +%/x"}, ExpiresIn=60)
        trust = ssl.create_default_context(cafile=AUTHORITY) if scheme == "https" else None
        equal(urllib.request.urlopen(url, context=trust).read(), content, "presigned")
        try:
            s3.get_object(Bucket=bucket, Key="absent")
            raise AssertionError("an absent key was answered")
        except ClientError as error:
            equal(error.response["Error"]["Code"], "NoSuchKey")
        expected = f"//{bucket}.{DOMAIN}:" if style == "virtual" else f"//{DOMAIN}:{PORTS[scheme]}/{bucket}"
        assert any(expected in url for url in hosts), f"{style} style was not used: {hosts[:3]}"
    finally:
        for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
            s3.delete_object(Bucket=bucket, Key=entry["Key"])
        s3.delete_bucket(Bucket=bucket)


for scheme in ("http", "https"):
    for style in ("path", "virtual"):
        for region in ("us-east-1", "eu-central-1"):

            def run(scheme=scheme, style=style, region=region):
                life(scheme, style, region)

            run.__name__ = f"{scheme}_{style}_{region}"
            case(run)

main()
