"""Users, groups, policies and access keys, managed by boto3's iam client and then used by its s3 client."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))

import boto3
from botocore.client import Config
from botocore.exceptions import ClientError

from cases import ACCESS_KEY, ENDPOINT, SECRET_KEY, case, equal, main


def client(service, access_key=ACCESS_KEY, secret_key=SECRET_KEY, token=None):
    return boto3.client(
        service,
        endpoint_url=ENDPOINT,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        aws_session_token=token,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )


IAM = client("iam")
S3 = client("s3")


def refused(code, call, **fields):
    try:
        call(**fields)
    except ClientError as error:
        equal(error.response["Error"]["Code"], code, "code")
        return
    raise AssertionError(f"not refused with {code}")


def reads(bucket):
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]}],
    }


@case
def a_user_with_an_inline_policy_reads_what_it_allows():
    S3.create_bucket(Bucket="iam-one")
    S3.put_object(Bucket="iam-one", Key="k", Body=b"x")
    made = IAM.create_user(UserName="inline-user", Path="/staff/")["User"]
    equal((made["UserName"], made["Path"]), ("inline-user", "/staff/"))
    equal(IAM.get_user(UserName="inline-user")["User"]["UserId"], made["UserId"])
    refused("EntityAlreadyExists", IAM.create_user, UserName="inline-user")
    key = IAM.create_access_key(UserName="inline-user")["AccessKey"]
    theirs = client("s3", key["AccessKeyId"], key["SecretAccessKey"])
    refused("AccessDenied", theirs.get_object, Bucket="iam-one", Key="k")
    IAM.put_user_policy(UserName="inline-user", PolicyName="one", PolicyDocument=json.dumps(reads("iam-one")))
    equal(theirs.get_object(Bucket="iam-one", Key="k")["Body"].read(), b"x")
    equal(IAM.list_user_policies(UserName="inline-user")["PolicyNames"], ["one"])
    equal(IAM.get_user_policy(UserName="inline-user", PolicyName="one")["PolicyDocument"], reads("iam-one"))
    IAM.delete_user_policy(UserName="inline-user", PolicyName="one")
    refused("AccessDenied", theirs.get_object, Bucket="iam-one", Key="k")
    refused("DeleteConflict", IAM.delete_user, UserName="inline-user")
    IAM.delete_access_key(UserName="inline-user", AccessKeyId=key["AccessKeyId"])
    IAM.delete_user(UserName="inline-user")
    refused("NoSuchEntity", IAM.get_user, UserName="inline-user")


@case
def attached_policies_and_keys_are_listed_and_taken_away():
    IAM.create_user(UserName="attached-user")
    IAM.attach_user_policy(UserName="attached-user", PolicyArn="arn:aws:iam::aws:policy/readwrite")
    attached = IAM.list_attached_user_policies(UserName="attached-user")["AttachedPolicies"]
    equal([policy["PolicyName"] for policy in attached], ["readwrite"])
    keys = [IAM.create_access_key(UserName="attached-user")["AccessKey"] for _ in range(2)]
    theirs = client("s3", keys[0]["AccessKeyId"], keys[0]["SecretAccessKey"])
    theirs.list_buckets()
    listed = IAM.list_access_keys(UserName="attached-user")["AccessKeyMetadata"]
    equal(sorted(key["AccessKeyId"] for key in listed), sorted(key["AccessKeyId"] for key in keys))
    IAM.update_access_key(UserName="attached-user", AccessKeyId=keys[0]["AccessKeyId"], Status="Inactive")
    refused("InvalidAccessKeyId", theirs.list_buckets)
    for key in keys:
        IAM.delete_access_key(UserName="attached-user", AccessKeyId=key["AccessKeyId"])
    IAM.detach_user_policy(UserName="attached-user", PolicyArn=attached[0]["PolicyArn"])
    refused("NoSuchEntity", IAM.attach_user_policy, UserName="attached-user", PolicyArn="arn:aws:iam::aws:policy/none")
    IAM.delete_user(UserName="attached-user")


@case
def a_group_gives_its_members_its_policies():
    S3.create_bucket(Bucket="iam-group")
    IAM.create_user(UserName="member-user")
    IAM.create_group(GroupName="crew")
    IAM.put_group_policy(GroupName="crew", PolicyName="one", PolicyDocument=json.dumps(reads("iam-group")))
    key = IAM.create_access_key(UserName="member-user")["AccessKey"]
    theirs = client("s3", key["AccessKeyId"], key["SecretAccessKey"])
    refused("AccessDenied", theirs.list_objects_v2, Bucket="iam-group")
    IAM.add_user_to_group(GroupName="crew", UserName="member-user")
    theirs.list_objects_v2(Bucket="iam-group")
    equal([user["UserName"] for user in IAM.get_group(GroupName="crew")["Users"]], ["member-user"])
    equal([group["GroupName"] for group in IAM.list_groups_for_user(UserName="member-user")["Groups"]], ["crew"])
    equal([group["GroupName"] for group in IAM.list_groups()["Groups"]], ["crew"])
    refused("DeleteConflict", IAM.delete_group, GroupName="crew")
    IAM.remove_user_from_group(GroupName="crew", UserName="member-user")
    refused("AccessDenied", theirs.list_objects_v2, Bucket="iam-group")
    IAM.delete_group_policy(GroupName="crew", PolicyName="one")
    IAM.delete_group(GroupName="crew")


@case
def lists_are_paged():
    names = [f"paged-{number}" for number in range(5)]
    for name in names:
        IAM.create_user(UserName=name, Path="/paged/")
    pages = IAM.get_paginator("list_users").paginate(PathPrefix="/paged/", PaginationConfig={"PageSize": 2})
    found = [[user["UserName"] for user in page["Users"]] for page in pages]
    equal(found, [names[:2], names[2:4], names[4:]])


@case
def the_token_service_knows_the_users_keys():
    key = IAM.create_access_key(UserName="paged-0")["AccessKey"]
    who = client("sts", key["AccessKeyId"], key["SecretAccessKey"]).get_caller_identity()
    equal(who["Arn"], IAM.get_user(UserName="paged-0")["User"]["Arn"])
    equal(IAM.get_user()["User"]["Arn"].endswith(":root"), True)


@case
def a_role_is_taken_on_by_whom_it_trusts_and_what_changes_at_it_counts_at_once():
    S3.create_bucket(Bucket="iam-role")
    trusted = {"AWS": IAM.get_user(UserName="paged-1")["User"]["Arn"]}
    statement = {"Effect": "Allow", "Principal": trusted, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    refused("MalformedPolicyDocument", IAM.create_role, RoleName="reader", AssumeRolePolicyDocument="{}")
    role = IAM.create_role(RoleName="reader", AssumeRolePolicyDocument=trust)["Role"]
    IAM.put_role_policy(RoleName="reader", PolicyName="lists", PolicyDocument=json.dumps(reads("iam-role")))
    wanted = {"RoleArn": role["Arn"], "RoleSessionName": "here"}

    def taken_by(name):
        key = IAM.create_access_key(UserName=name)["AccessKey"]
        return client("sts", key["AccessKeyId"], key["SecretAccessKey"])

    refused("AccessDenied", taken_by("paged-2").assume_role, **wanted)
    given = taken_by("paged-1").assume_role(**wanted)["Credentials"]
    held = (given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
    equal(client("sts", *held).get_caller_identity()["Arn"].split(":")[-1], "assumed-role/reader/here")
    equal(client("s3", *held).list_objects_v2(Bucket="iam-role")["KeyCount"], 0)
    refused("DeleteConflict", IAM.delete_role, RoleName="reader")
    IAM.delete_role_policy(RoleName="reader", PolicyName="lists")
    refused("AccessDenied", client("s3", *held).list_objects_v2, Bucket="iam-role")
    IAM.delete_role(RoleName="reader")
    refused("InvalidAccessKeyId", client("s3", *held).list_objects_v2, Bucket="iam-role")
    refused("NoSuchEntity", IAM.get_role, RoleName="reader")


main()
