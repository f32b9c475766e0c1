"""What tests of the services share."""

import pytest
from prometheus_client import CollectorRegistry

from app.core.parts import parts_of
from app.factory import create_app


@pytest.fixture
def client(settings, key_file):
    app = create_app(settings.model_copy(update={"signing_key_file": key_file}), CollectorRegistry())
    yield app.test_client()
    parts_of(app).database.close()
