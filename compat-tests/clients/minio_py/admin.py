"""What operators do with minio-py's MinioAdmin."""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from minio.credentials import StaticProvider
from minio.error import MinioAdminException
from minio.minioadmin import MinioAdmin

from cases import ACCESS_KEY, ENDPOINT, SECRET_KEY, case, equal, main

POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::one/*"]}],
}


def client(access=ACCESS_KEY, secret=SECRET_KEY):
    return MinioAdmin(
        endpoint=ENDPOINT.removeprefix("http://"), credentials=StaticProvider(access, secret), secure=False
    )


root = client()


def refused(code, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except MinioAdminException as error:
        assert code in str(error), f"{code} expected: {error}"
        return
    raise AssertionError(f"{code} expected, the call succeeded")


@case
def the_store_is_told():
    equal(json.loads(root.info())["mode"], "online")
    equal(json.loads(root.account_info())["AccountName"], ACCESS_KEY)
    assert "bucketsCount" in json.loads(root.get_data_usage_info())


@case
def users_are_managed():
    root.user_add("py-alice", "alice-secret")
    root.user_add("py-bob", "bob-secret-1")
    equal(sorted(json.loads(root.user_list())), ["py-alice", "py-bob"])
    root.user_disable("py-bob")
    equal(json.loads(root.user_info("py-bob"))["status"], "disabled")
    root.user_enable("py-bob")
    refused("XMinioAdminNoSuchUser", root.user_info, "nobody")


@case
def groups_are_managed():
    root.group_add("py-crew", ["py-alice", "py-bob"])
    equal(json.loads(root.group_list()), ["py-crew"])
    root.group_disable("py-crew")
    equal(json.loads(root.group_info("py-crew"))["status"], "disabled")
    root.group_enable("py-crew")


@case
def policies_are_managed():
    root.policy_add("py-ro", policy=POLICY)
    assert "py-ro" in json.loads(root.policy_list())
    equal(json.loads(root.policy_info("py-ro")), POLICY)
    root.policy_set("py-ro", user="py-alice")
    root.attach_policy(["readwrite"], group="py-crew")
    refused("XMinioAdminPolicyChangeAlreadyApplied", root.attach_policy, ["readwrite"], group="py-crew")
    found = json.loads(root.get_policy_entities([], [], ["py-ro"]))
    equal(found["policyMappings"][0]["users"], ["py-alice"])
    refused("XMinioIAMPolicyInUse", root.policy_remove, "py-ro")


@case
def access_keys_are_managed():
    made = json.loads(root.add_service_account(access_key="pykey1", secret_key="pysecret1", name="n", policy=POLICY))
    equal(made["credentials"]["accessKey"], "pykey1")
    told = json.loads(root.get_service_account("pykey1"))
    equal((told["parentUser"], json.loads(told["policy"])), (ACCESS_KEY, POLICY))
    root.update_service_account(access_key="pykey1", description="other", status="off")
    equal(json.loads(root.get_service_account("pykey1"))["accountStatus"], "off")
    equal(len(json.loads(root.list_service_account(ACCESS_KEY))["accounts"]), 1)
    root.delete_service_account("pykey1")
    refused("XMinioAdminNoSuchAccessKey", root.get_service_account, "pykey1")


@case
def settings_are_read_and_stored():
    assert root.config_get("api").startswith("api requests_max=")
    assert root.config_get("storage_class").startswith("storage_class standard=")
    refused("XMinioAdminConfigEnvOverridden", root.config_set, "storage_class", {"standard": "EC:1"})
    refused("XMinioConfigError", root.config_set, "api", {"requests_max": "many"})
    equal(json.loads(root.config_history()), [])
    root.config_set("api", {"requests_max": "500"})
    assert "requests_max=500" in root.config_get("api")
    before = json.loads(root.config_history())
    equal(len(before), 1)
    root.config_reset("api")
    assert "requests_max=500" not in root.config_get("api")
    root.config_set("api", {"requests_max": "700"})
    root.config_restore(before[0]["restoreId"])
    assert "requests_max=700" not in root.config_get("api")


@case
def who_has_no_right_is_refused():
    alice = client("py-alice", "alice-secret")
    refused("AccessDenied", alice.user_list)
    refused("AccessDenied", alice.policy_set, "consoleAdmin", user="py-alice")
    equal(json.loads(alice.list_service_account("py-alice"))["accounts"], [])
    refused("SignatureDoesNotMatch", client(secret="another-secret").info)


@case
def what_is_not_there_or_not_built_says_so():
    equal(json.loads(root.get_site_replication_info())["enabled"], False)
    refused("NotImplemented", root.top_locks)
    root.detach_policy(["readwrite"], group="py-crew")
    root.group_remove("py-crew", ["py-alice", "py-bob"])
    root.group_remove("py-crew")
    root.policy_unset("py-ro", user="py-alice")
    root.policy_remove("py-ro")
    root.user_remove("py-alice")
    root.user_remove("py-bob")
    equal(json.loads(root.user_list()), {})


main()
