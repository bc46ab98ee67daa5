# Each target does all of its own set-up; `make help` lists them.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
SHELL := /bin/bash
.DEFAULT_GOAL := help
# What CI does for less than a minute each.
SOAKS := never-disturbed recycled-memory cluster/random
.PHONY: help setup native native-check token-masks sampling demo demo-cluster plugin test arm64 gpu soak fuzz check gen format image bench clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

node_modules/.ready: package.json package-lock.json
	@echo "==> installing the npm packages, Node 24 among them (about a minute, once)"
	@npm ci --no-audit --no-fund --loglevel=error
	@node -v | grep -q '^v24\.' || { echo "expected Node 24 from node_modules/.bin, got $$(node -v)"; exit 1; }
	@touch $@

setup: node_modules/.ready ## install what everything else needs

native: setup ## the native operator, where a C compiler is; without it adapters take the portable way
	@node native/build.ts

token-masks: setup ## the module that masks tokens, again; needs Rust, and nobody has to: it is in the repository
	@node native/build-module.ts $@

sampling: setup ## the module that chooses tokens, in the same way
	@node native/build-module.ts $@

native-check: setup ## its kernels on random shapes against float64, with the sanitizers and as built; prints the seed
	@node native/build.ts --check

demo: native ## the main job on the tiny model; KEEP=1 leaves it running
	@node test/demo/main.ts $(if $(KEEP),--keep)

demo-cluster: native ## the same in a cluster: an API server, two replicas of the operator, three runtimes; KEEP=1
	@node test/demo/cluster.ts $(if $(KEEP),--keep)

plugin: setup ## kubectl adaptlet as one file for each platform, and its krew manifest, in dist/plugin; BASE_URL=https://...
	@node scripts/plugin.ts $(if $(BASE_URL),--base-url $(BASE_URL))

test: native ## formatting, lint, types, then every test suite
	@node scripts/test.ts

arm64: setup ## the suites of unit and conformance on Node for arm64, by QEMU; hours; ARM64="--project unit src/fair": a part
	@node test/arm64/main.ts $(ARM64)

gpu: native ## on a machine with an NVIDIA GPU: fetches CUDA (2 GB), compares its answers with the CPU's, and benches both
	@node test/gpu/main.ts

soak: native ## an hour of disturbances that no answer may show, then 10 minutes of each soak of CI; SOAK="--seconds 600"
	@node test/soak/main.ts $(SOAK)
	$(if $(SOAK),,@ADAPTLET_SOAK_SECONDS=600 vitest run --project chaos $(SOAKS))

fuzz: native ## hostile bytes for every reader, 10 s each (BYTES="--target tar --seconds 600"), then every property 200 times as often as in a test run (FUZZ="--times 1000 src/rollout")
	$(if $(FUZZ),,@node test/fuzz/bytes/main.ts $(BYTES))
	$(if $(BYTES),,@node test/fuzz/main.ts $(FUZZ))

check: setup ## formatting, lint, types, generated files; no tests
	@node scripts/test.ts --checks-only

gen: setup ## write the generated files: protos, CRDs, reference pages
	@npm run -s gen

format: setup ## format the code
	@npm run -s format

image: setup ## the container image for amd64 and arm64, in dist/image; without docker; ARCH=amd64
	@node image/main.ts $(ARCH)

bench: native ## benchmarks; BENCH=switch|cold|split|control
	@node test/bench/main.ts $(BENCH)

clean: ## remove what set-up made
	@rm -rf node_modules native/build native/*/target
