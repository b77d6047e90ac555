# The bundles: `sam build` calls `make build-<LogicalId>` for every function, with ARTIFACTS_DIR set. A bundle is the
# function's own folder, `shared`, and exactly its own locked requirements, for the runtime and architecture that
# template.yaml names. Rebuilding unchanged sources gives identical bytes. For other targets, in both commands:
#   ARCHITECTURE=arm64 sam build && sam deploy --parameter-overrides Architecture=arm64

SHELL := bash
# Without pipefail a failed install inside a pipe would still say "Build Succeeded".
.SHELLFLAGS := -eu -o pipefail -c

template_default = $(shell sed -n '/^  $(1):/,/Default:/s/^ *Default: *//p' template.yaml)
RUNTIME ?= $(call template_default,Runtime)
ARCHITECTURE ?= $(call template_default,Architecture)

UV ?= $(or $(wildcard .venv/bin/uv),uv)
# Wheels for the machine of the function, not for the one that builds. Empty: the one that builds (local stack).
# argon2's need glibc 2.28; Lambda has 2.34 from Python 3.12 on (Amazon Linux 2023).
PLATFORM ?= $(ARCHITECTURE:arm64=aarch64)-manylinux_2_28
# Hard links would let a formatter that runs over the bundle rewrite uv's cache.
LINK_MODE ?= copy
minor = $(RUNTIME:python%=%)
# Of the 440 service models in botocore (two thirds of a bundle) only these are shipped; a contract test compares them
# with the clients that the code makes. `xray` is for the tracer.
SERVICES := dynamodb kms lambda s3 secretsmanager sesv2 sns sqs sts xray

# The folder of a function is the one its Handler names.
function = $(shell sed -n '/^  $*:/,/Handler:/s/^ *Handler: functions\.\([a-z_]*\)\..*/\1/p' template.yaml)

build-%: ARTIFACTS_DIR ?= dist/$*
build-%:
	@test -n "$(function)" || { echo "build: template.yaml has no function $*" >&2; exit 2; }
	$(call install,$(function))
	mkdir -p "$(ARTIFACTS_DIR)/functions"
	cp functions/__init__.py "$(ARTIFACTS_DIR)/functions/"
	cp -R functions/$(function) "$(ARTIFACTS_DIR)/functions/"
	cp -R shared "$(ARTIFACTS_DIR)/"
	find "$(ARTIFACTS_DIR)" -name __pycache__ -prune -exec rm -rf {} +
	$(compile)

# Only the locked requirements of one group, unpacked into ARTIFACTS_DIR; the local stack runs functions on them.
requirements-%:
	$(call install,$*)

# entry_points.txt and METADATA stay: opentelemetry and pydantic look plug-ins up at import. pydantic.v1 goes: FastAPI
# imports it if it is there, only to see that no model of ours is one of its.
define install
	rm -rf "$(ARTIFACTS_DIR)"
	$(UV) pip install --quiet --require-hashes --only-binary :all: --link-mode $(LINK_MODE) --target "$(ARTIFACTS_DIR)" \
	    --python-version $(minor) $(if $(PLATFORM),--python-platform $(PLATFORM)) --requirement requirements/$(1).txt
	rm -rf "$(ARTIFACTS_DIR)/bin" "$(ARTIFACTS_DIR)/.lock" "$(ARTIFACTS_DIR)/pydantic/v1"
	find "$(ARTIFACTS_DIR)" -path '*.dist-info/*' \( -name RECORD -o -name INSTALLER -o -name REQUESTED -o -name uv_cache.json \) -delete
	find "$(ARTIFACTS_DIR)" -mindepth 2 -maxdepth 2 -type d -name tests -exec rm -rf {} +
	find "$(ARTIFACTS_DIR)/botocore/data" -mindepth 1 -maxdepth 1 -type d $(SERVICES:%=! -name %) -exec rm -rf {} +
endef

# Import CPU halves with bytecode. It must come from the runtime's own minor, and must not depend on file times, which
# change on the way to Lambda. PYTHONHASHSEED and one process: the same bytes every time. Looked for on PATH (where a
# pyenv shim may exist and refuse), then among pyenv's and uv's interpreters.
define compile
	@for python in $$(type -aP python$(minor)) "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/$(minor).*/bin/python \
	    "$$($(UV) python dir)"/cpython-$(minor).*/bin/python$(minor); do \
	    if "$$python" -c '' 2>/dev/null; then \
	        PYTHONHASHSEED=0 exec "$$python" -m compileall -q --invalidation-mode unchecked-hash \
	            -s "$(ARTIFACTS_DIR)" -p /var/task "$(ARTIFACTS_DIR)"; \
	    fi; \
	done; \
	echo "build: WARNING no Python $(minor) here: the bundle has no bytecode and starts more slowly"
endef
