"""Puts the service on the platform, in one environment. The stack is named `<cluster>-<environment>`."""
# ruff: noqa: INP001  # a program that Pulumi runs, not a module of a package

import pulumi

from infra import handover, naming, provider, settings
from infra.components.local_images import Images, ImagesConfig
from infra.components.service import Service, ServiceConfig
from infra.images import ImageSource

chosen = settings.service_settings()
cluster_name, environment = naming.parse_service_stack(pulumi.get_stack())
cluster = handover.Cluster.from_outputs(handover.read(naming.Project.CLUSTER, cluster_name))
platform = handover.Platform.from_outputs(handover.read(naming.Project.PLATFORM, cluster_name))
options = pulumi.ResourceOptions(providers=[provider.kubernetes(cluster)])
names = [*([] if chosen.image else ["service"]), *(["k6"] if chosen.preview_check else [])]
source = ImageSource.LOCAL if chosen.preview_check else ImageSource.AUTO  # what checks is named by digest
images = Images("images", ImagesConfig(names, source, cluster.capabilities), options).references if names else {}
image = chosen.image or images["service"]
service = Service("service", ServiceConfig(environment, image, platform, chosen, images.get("k6")), options)
pulumi.export("image", image)
pulumi.export("url", service.url)
pulumi.export("previewUrl", service.preview_url)
pulumi.export("accessKey", service.access_key)
