"""The page of settings is what the models say."""

from infra.naming import Project
from infra.settings import reference


def test_the_page_is_up_to_date():
    assert reference.PAGE.read_text() == reference.render(), (
        "docs/reference/settings.md is not what the models say: run `python -m infra.settings.reference`"
    )


def test_every_project_and_every_inner_key_is_on_the_page():
    page = reference.render()
    assert all(f"## `{project.value}`" in page for project in Project)
    assert "`slipway-cluster:embedded.timeouts.monitorGracePeriod` | 1 to 3600 | `10` |" in page
    assert "`slipway-platform:profile` | `small`, `standard`, `ha` | `small` |" in page
    assert "`slipway-cluster:existing.loadBalancer` | `true`, `false` | required |" in page
    assert "`slipway-service:replicas` | 1 to 100 | none |" in page
