# The images that are made of this repository: `service` (the payload) and `controller` (the rollout controller), and
# nothing of the platform in them. The build context holds this file, the target's own code and `requirements.txt`,
# which is exported from the lock by dependency group: `app` for the service, `rollout` for the controller:
#   uv export --only-group app --no-emit-project --output-file requirements.txt
# No BuildKit-only instruction: buildah 1.28 and later build it too (it skips the stages that a target does not need).
#
# Upstream base; builds from local packages pass an image with python3 (3.11 or later), pip and venv in it.
ARG BASE=docker.io/library/python:3.13-slim

FROM ${BASE} AS wheels
COPY requirements.txt /build/requirements.txt
# Every wheel is checked against its hash in the lock; nothing is compiled here.
RUN python3 -m venv --copies /opt/payload \
    && /opt/payload/bin/python -m pip install --no-cache-dir --disable-pip-version-check --no-compile \
        --only-binary :all: --require-hashes --requirement /build/requirements.txt \
    && /opt/payload/bin/python -m pip uninstall --yes --quiet pip \
    && /opt/payload/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/payload/lib

FROM ${BASE} AS controller
ENV PATH=/opt/payload/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
COPY --from=wheels /opt/payload /opt/payload
COPY slipway /srv/controller/slipway
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /srv/controller/slipway
WORKDIR /srv/controller
USER 10001:10001
EXPOSE 9090
ENTRYPOINT ["python", "-m", "slipway.rollout"]

FROM ${BASE} AS service
ENV PATH=/opt/payload/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
COPY --from=wheels /opt/payload /opt/payload
COPY app /srv/payload/app
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /srv/payload/app
WORKDIR /srv/payload
USER 10001:10001
EXPOSE 8080 9090
ENTRYPOINT ["python", "-m", "app.serve"]
