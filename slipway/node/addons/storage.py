"""Dynamic volumes on the nodes' own disks, by Rancher's local-path-provisioner."""

import json
from collections.abc import Mapping
from typing import Any

from slipway.node.spec import ClusterSpec

IMAGES = ("local-path-provisioner", "shell")

NAME = "local-path-provisioner"
NAMESPACE = "local-path-storage"
STORAGE_CLASS = "standard"
LABELS = {"app.kubernetes.io/name": NAME}
USER = 10001

SETUP = '#!/bin/sh\nset -eu\nmkdir -m 0777 -p "$VOL_DIR"\n'
TEARDOWN = '#!/bin/sh\nset -eu\nrm -rf "$VOL_DIR"\n'


def manifests(spec: ClusterSpec, images: Mapping[str, str]) -> list[dict[str, Any]]:
    """Namespace, RBAC, configuration, Deployment and the default StorageClass."""
    meta = {"name": NAME, "namespace": NAMESPACE, "labels": LABELS}
    return [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": NAMESPACE,
                # Its helper pods make and delete folders on the node: that is the one thing they are for.
                "labels": {"pod-security.kubernetes.io/enforce": "privileged"},
            },
        },
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        *_access(),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": _config(spec, images["shell"])},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": meta,
            "spec": {
                # It holds no lock: two would both answer a claim.
                "replicas": 1,
                "strategy": {"type": "Recreate"},
                "selector": {"matchLabels": LABELS},
                "template": {
                    "metadata": {"labels": LABELS},
                    "spec": _pod(images["local-path-provisioner"], images["shell"]),
                },
            },
        },
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {
                "name": STORAGE_CLASS,
                "annotations": {
                    "storageclass.kubernetes.io/is-default-class": "true",
                    # The kubelet tells of such volumes how full they are; of its other kind, `hostPath`, it does not.
                    "defaultVolumeType": "local",
                },
            },
            "provisioner": "slipway.dev/local-path",
            "volumeBindingMode": "WaitForFirstConsumer",
            "reclaimPolicy": "Delete",
        },
    ]


def _config(spec: ClusterSpec, shell: str) -> dict[str, str]:
    paths = [{"node": node.name, "paths": [f"{node.home}/volumes"]} for node in spec.workers]
    helper = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "helper"},
        "spec": {
            "priorityClassName": "system-node-critical",
            "tolerations": [{"operator": "Exists"}],
            "containers": [
                {
                    "name": "helper-pod",  # the name by which the provisioner looks for its log
                    "image": shell,
                    "imagePullPolicy": "IfNotPresent",
                    # Root, as the volumes' folder is root's; able to remove what others wrote, and nothing else.
                    "securityContext": {
                        "runAsUser": 0,
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"], "add": ["DAC_OVERRIDE", "FOWNER"]},
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "resources": {"requests": {"cpu": "10m", "memory": "8Mi"}, "limits": {"memory": "32Mi"}},
                }
            ],
        },
    }
    return {
        "config.json": json.dumps({"nodePathMap": paths}),
        "setup": SETUP,
        "teardown": TEARDOWN,
        "helperPod.yaml": json.dumps(helper),
    }


def _access() -> list[dict[str, Any]]:
    api = "rbac.authorization.k8s.io"
    subject = [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}]
    cluster_rules = [
        {
            "apiGroups": [""],
            "resources": ["nodes", "persistentvolumeclaims", "pods"],
            "verbs": ["get", "list", "watch"],
        },
        {
            "apiGroups": [""],
            "resources": ["persistentvolumes"],
            "verbs": ["get", "list", "watch", "create", "patch", "update", "delete"],
        },
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]},
        {"apiGroups": ["storage.k8s.io"], "resources": ["storageclasses"], "verbs": ["get", "list", "watch"]},
    ]
    own_rules = [
        {
            "apiGroups": [""],
            "resources": ["pods"],
            "verbs": ["get", "list", "watch", "create", "patch", "update", "delete"],
        },
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]},
        {
            "apiGroups": [""],
            "resources": ["endpoints"],
            "verbs": ["get", "list", "watch", "create", "patch", "update"],
        },
        {
            "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "verbs": ["get", "list", "watch", "create", "patch", "update"],
        },
    ]
    return [
        {"apiVersion": f"{api}/v1", "kind": "ClusterRole", "metadata": {"name": NAME}, "rules": cluster_rules},
        {
            "apiVersion": f"{api}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": NAME},
            "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": NAME},
            "subjects": subject,
        },
        {
            "apiVersion": f"{api}/v1",
            "kind": "Role",
            "metadata": {"name": NAME, "namespace": NAMESPACE},
            "rules": own_rules,
        },
        {
            "apiVersion": f"{api}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": NAME, "namespace": NAMESPACE},
            "roleRef": {"apiGroup": api, "kind": "Role", "name": NAME},
            "subjects": subject,
        },
    ]


def _pod(image: str, shell: str) -> dict[str, Any]:
    return {
        "serviceAccountName": NAME,
        "priorityClassName": "system-cluster-critical",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "provisioner",
                "image": image,
                "args": [
                    "start",
                    "--config=/etc/config/config.json",
                    f"--configmap-name={NAME}",
                    "--helper-pod-file=/etc/config/helperPod.yaml",
                    "--provisioner-name=slipway.dev/local-path",
                    f"--helper-image={shell}",
                    f"--service-account-name={NAME}",
                ],
                "env": [
                    {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
                    {"name": "CONFIG_MOUNT_PATH", "value": "/etc/config/"},
                ],
                "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "96Mi"}},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [{"name": "config", "mountPath": "/etc/config", "readOnly": True}],
            }
        ],
        "volumes": [{"name": "config", "configMap": {"name": NAME}}],
    }
