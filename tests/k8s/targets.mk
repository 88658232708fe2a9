.PHONY: image
image: ## The image, built with docker, podman or buildah (IMAGE=name:tag, BASE=another slim Python)
	@image/build $(IMAGE)

.PHONY: manifests
manifests: $(READY) ## Write the plain manifests and the golden files from the chart
	@$(BIN)/python -m tests.k8s.manifests
	@$(BIN)/python -m tests.k8s.golden

.PHONY: test-k8s
test-k8s: $(READY) ## The image and the chart on a real one-node Kubernetes, as root (20 min, cold 45 min)
	@tests/k8s/cluster build
	@$(BIN)/python -m tests.k8s.fetch
	@$(BIN)/python -m pytest -s -v tests/k8s/image_in_container.py tests/k8s/cluster_*.py $(ARGS)

.PHONY: test-api-server
test-api-server: $(READY) ## Only what its API server says of the chart's objects (2 min, once test-k8s was run)
	@$(BIN)/python -m pytest tests/k8s/cluster_objects.py $(ARGS)
