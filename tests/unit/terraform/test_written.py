"""What Google would choose by itself where Terraform says nothing: it says it, and takes it from
the topology. A plan without a cloud does not tell what Google's own choice would be."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.hcl import resources, value

WRITTEN: dict[tuple[str, str], dict[str, Any]] = {
    ("google_cloudfunctions2_function", "function"): {
        "build_config.service_account": "${local.foundation.build}",
        "service_config.timeout_seconds": "${each.value.timeout_seconds}",
        "service_config.max_instance_request_concurrency": "${each.value.concurrency}",
        "service_config.max_instance_count": "${each.value.max_instances}",
        "service_config.min_instance_count": 0,
        "depends_on": "${time_sleep.grants}",
    },
    ("google_cloud_run_v2_job", "job"): {
        "template.parallelism": 0,
        "template.template.timeout": "${each.value.timeout_seconds}s",
        "template.template.max_retries": "${each.value.max_retries}",
        "depends_on": "${time_sleep.grants}",
    },
    ("google_cloud_run_v2_service", "service"): {
        "template.containers.resources.cpu_idle": True,
        "template.max_instance_request_concurrency": "${each.value.concurrency}",
        "template.timeout": "${each.value.timeout_seconds}s",
        "depends_on": "${time_sleep.grants}",
    },
    ("google_storage_bucket", "bucket"): {
        "uniform_bucket_level_access": True,
        "public_access_prevention": "enforced",
        "versioning.enabled": "${each.value.versioning}",
    },
}


@pytest.mark.parametrize("key", WRITTEN)
def test_nothing_is_left_to_googles_own_choice(key: tuple[str, str]) -> None:
    """Google's are the default account, ten minutes, three retries, a hundred instances."""
    (body,) = [item.body for item in resources() if (item.type, item.key) == key]
    assert {path: value(body, path) for path in WRITTEN[key]} == WRITTEN[key]


def test_exports_may_look_at_the_bucket_and_write() -> None:
    """Pub/Sub refuses to make a Cloud Storage subscription where its agent has not both."""
    (body,) = [item.body for item in resources() if item.key == "export_writer"]
    for role in ("roles/storage.objectCreator", "roles/storage.legacyBucketReader"):
        assert f'"{role}"' in body["for_each"]
