# The bundles: `sam build` calls `make build-<LogicalId>` for every function, with ARTIFACTS_DIR set. A bundle is the
# function's own folder, `shared`, and exactly its own locked requirements, without what nothing ever loads of them, for
# the runtime and architecture that template.yaml names. Rebuilding unchanged sources gives identical bytes.
# For other targets, in both commands:
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
# Of Powertools' utilities only the one that its logger takes. `tests/contract/test_bundles.py` uses what a bundle
# carries, so that a part that is left out here and needed after all fails there.
UTILITIES := jmespath_utils
# Parts of libraries that nothing of ours leads to. Event handlers are Powertools' own web framework, with a second
# Swagger UI; cffi makes the bindings of argon2 and cryptography, which then need its compiled half alone; boto3's data
# are of resources, where we use clients. FastAPI imports pydantic.v1 if it is there, only to see that no model of ours
# is one of its.
UNUSED := anyio/_backends/_trio.py aws_lambda_powertools/event_handler boto3/data boto3/examples cffi \
    dateutil/zoneinfo/dateutil-zoneinfo.tar.gz pycparser pydantic/mypy.py pydantic/v1 share tools \
    urllib3/contrib/emscripten wrapt-stubs
# Help for type checkers and compilers, lists of ingredients, examples of requests.
UNUSED_FILES := *.pyi *.c *.h *.pxd *.pyx py.typed *.cyclonedx.json examples-1.json

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
	$(pack)

# Only the locked requirements of one group, unpacked into ARTIFACTS_DIR; the local stack runs functions on them.
requirements-%:
	$(call install,$*)

# entry_points.txt and METADATA stay: opentelemetry and pydantic look plug-ins up at import.
define install
	rm -rf "$(ARTIFACTS_DIR)"
	$(UV) pip install --quiet --require-hashes --only-binary :all: --link-mode $(LINK_MODE) --target "$(ARTIFACTS_DIR)" \
	    --python-version $(minor) $(if $(PLATFORM),--python-platform $(PLATFORM)) --requirement requirements/$(1).txt
	rm -rf "$(ARTIFACTS_DIR)/bin" "$(ARTIFACTS_DIR)/.lock" $(UNUSED:%="$(ARTIFACTS_DIR)/%")
	find "$(ARTIFACTS_DIR)" -path '*.dist-info/*' \( -name RECORD -o -name INSTALLER -o -name REQUESTED \
	    -o -name uv_cache.json \) -delete
	find "$(ARTIFACTS_DIR)" -type f \( -false $(UNUSED_FILES:%=-o -name '%') \) -delete
	find "$(ARTIFACTS_DIR)" -mindepth 2 -maxdepth 2 -type d -name tests -exec rm -rf {} +
	find "$(ARTIFACTS_DIR)/botocore/data" -mindepth 1 -maxdepth 1 -type d $(SERVICES:%=! -name %) -exec rm -rf {} +
	find "$(ARTIFACTS_DIR)/aws_lambda_powertools/utilities" -mindepth 1 -maxdepth 1 -type d $(UTILITIES:%=! -name %) \
	    -exec rm -rf {} +
endef

# A Python of the runtime's minor, or nothing. Looked for on PATH (where a pyenv shim may exist and refuse), then among
# pyenv's and uv's interpreters.
runtime_python = $(shell for python in $$(type -aP python$(minor)) \
    "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/$(minor).*/bin/python \
    "$$($(UV) python dir)"/cpython-$(minor).*/bin/python$(minor); do \
    if "$$python" -c '' 2>/dev/null; then echo "$$python"; break; fi; done)

.PHONY: runtime-python
runtime-python:
	@echo "$(runtime_python)"

define pack
	@python="$(runtime_python)"; \
	if [ -n "$$python" ]; then PYTHONHASHSEED=0 "$$python" infra/pack.py "$(ARTIFACTS_DIR)"; \
	else echo "build: WARNING no Python $(minor) here: the bundle has no bytecode, is larger and starts more slowly"; fi
endef
