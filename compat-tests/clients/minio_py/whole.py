"""Every operation family through minio-py."""

import hashlib
import io
import pathlib
import sys
import urllib.error
import urllib.request
from datetime import timedelta

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from minio import Minio
from minio.commonconfig import REPLACE, ComposeSource, CopySource
from minio.deleteobjects import DeleteObject
from minio.error import S3Error

from cases import ACCESS_KEY, ENDPOINT, MIB, SECRET_KEY, case, data, equal, main

BUCKET = "minio-py"


def client(access=ACCESS_KEY, secret=SECRET_KEY):
    return Minio(ENDPOINT.removeprefix("http://"), access_key=access, secret_key=secret, secure=False, region="us-east-1")


mc = client()


def refused(code, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except S3Error as error:
        equal(error.code, code, "error code")
        return
    raise AssertionError(f"{code} expected, the call succeeded")


def body(key, **named):
    answer = mc.get_object(bucket_name=BUCKET, object_name=key, **named)
    try:
        return answer.read()
    finally:
        answer.close()
        answer.release_conn()


def put(key, content, **named):
    return mc.put_object(bucket_name=BUCKET, object_name=key, data=io.BytesIO(content), length=len(content), **named)


@case
def buckets():
    assert not mc.bucket_exists(bucket_name=BUCKET)
    mc.make_bucket(bucket_name=BUCKET)
    assert mc.bucket_exists(bucket_name=BUCKET)
    refused("BucketAlreadyOwnedByYou", mc.make_bucket, bucket_name=BUCKET)
    assert BUCKET in [bucket.name for bucket in mc.list_buckets()]


@case
def small_and_empty():
    content = data(1, 1234)
    tag = put("small", content, content_type="a/b", metadata={"x": "1", "y": "2"}).etag
    equal(tag, hashlib.md5(content).hexdigest())
    equal(body("small"), content)
    stat = mc.stat_object(bucket_name=BUCKET, object_name="small")
    equal((stat.size, stat.etag, stat.content_type), (1234, tag, "a/b"))
    equal((stat.metadata["x-amz-meta-x"], stat.metadata["x-amz-meta-y"]), ("1", "2"))
    put("empty", b"")
    equal(body("empty"), b"")


@case
def large_and_multipart():
    content = data(2, 17 * MIB + 5)
    put("large", content, part_size=20 * MIB)
    equal(body("large"), content)
    tag = put("parts", content, part_size=5 * MIB).etag
    assert tag.endswith("-4"), tag
    equal(body("parts"), content)


@case
def unknown_length():
    for length in (0, 77, 11 * MIB + 1):
        content = data(3, length)
        mc.put_object(bucket_name=BUCKET, object_name="stream", data=io.BytesIO(content), length=-1, part_size=5 * MIB)
        equal(body("stream"), content, f"stream of {length}")


@case
def ranges():
    content = data(4, 100_000)
    put("range", content)
    equal(body("range", offset=10, length=20), content[10:30])
    equal(body("range", offset=99_990), content[99_990:])


@case
def listing():
    keys = [f"list/{number % 5}/key {number:04} ü" for number in range(1210)]
    for key in keys:
        put(key, key.encode())
    found = [entry.object_name for entry in mc.list_objects(bucket_name=BUCKET, prefix="list/", recursive=True)]
    equal(found, sorted(keys))
    folders = [entry.object_name for entry in mc.list_objects(bucket_name=BUCKET, prefix="list/")]
    equal(folders, [f"list/{number}/" for number in range(5)])
    late = [entry.object_name for entry in mc.list_objects(bucket_name=BUCKET, prefix="list/", recursive=True, start_after=sorted(keys)[1200])]
    equal(late, sorted(keys)[1201:])
    old = [entry.object_name for entry in mc.list_objects(bucket_name=BUCKET, prefix="list/", recursive=True, use_api_v1=True)]
    equal(old, sorted(keys), "by the old listing")
    errors = list(mc.remove_objects(bucket_name=BUCKET, delete_object_list=[DeleteObject(key) for key in keys]))
    equal(errors, [])
    equal(list(mc.list_objects(bucket_name=BUCKET, prefix="list/", recursive=True)), [])


@case
def copies():
    content = data(5, 6 * MIB)
    put("from +ü", content, metadata={"old": "1"})
    mc.copy_object(bucket_name=BUCKET, object_name="to", source=CopySource(bucket_name=BUCKET, object_name="from +ü"))
    equal(body("to"), content)
    mc.copy_object(bucket_name=BUCKET, object_name="to", source=CopySource(bucket_name=BUCKET, object_name="from +ü"),
                   metadata={"new": "2"}, metadata_directive=REPLACE)
    stat = mc.stat_object(bucket_name=BUCKET, object_name="to")
    assert "x-amz-meta-old" not in stat.metadata and stat.metadata["x-amz-meta-new"] == "2", stat.metadata
    sources = [ComposeSource(bucket_name=BUCKET, object_name="from +ü"), ComposeSource(bucket_name=BUCKET, object_name="small")]
    mc.compose_object(bucket_name=BUCKET, object_name="composed", sources=sources)
    equal(body("composed"), content + body("small"))


@case
def presigned():
    content = data(6, 4321)
    url = mc.presigned_put_object(bucket_name=BUCKET, object_name="signed +ü", expires=timedelta(seconds=60))
    with urllib.request.urlopen(urllib.request.Request(url, data=content, method="PUT")) as answer:
        equal(answer.status, 200)
    url = mc.presigned_get_object(bucket_name=BUCKET, object_name="signed +ü", expires=timedelta(seconds=60),
                                  response_headers={"response-content-type": "x/y"})
    with urllib.request.urlopen(url) as answer:
        equal((answer.read(), answer.headers["Content-Type"]), (content, "x/y"))
    try:
        urllib.request.urlopen(url.replace("x%2Fy", "x%2Fz"))
        raise AssertionError("a changed link was answered")
    except urllib.error.HTTPError as error:
        assert error.code == 403 and b"SignatureDoesNotMatch" in error.read()


@case
def errors():
    refused("NoSuchKey", body, "absent")
    refused("NoSuchKey", mc.stat_object, bucket_name=BUCKET, object_name="absent")
    refused("NoSuchBucket", mc.get_object, bucket_name="absent-bucket", object_name="absent")
    refused("BucketNotEmpty", mc.remove_bucket, bucket_name=BUCKET)
    refused("InvalidAccessKeyId", client(access="nobody-here").list_buckets)
    refused("SignatureDoesNotMatch", client(secret="wrong-secret").list_buckets)
    refused("PreconditionFailed", mc.copy_object, bucket_name=BUCKET, object_name="x",
            source=CopySource(bucket_name=BUCKET, object_name="small", match_etag="00"))


@case
def deletion():
    for entry in mc.list_objects(bucket_name=BUCKET, recursive=True):
        mc.remove_object(bucket_name=BUCKET, object_name=entry.object_name)
    mc.remove_bucket(bucket_name=BUCKET)
    assert not mc.bucket_exists(bucket_name=BUCKET)


main()
