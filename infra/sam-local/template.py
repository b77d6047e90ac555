"""What `sam build` made, as JSON, for `sam local`: the same functions, with what that overlooks.

    python infra/sam-local/template.py .aws-sam/build > .aws-sam/build/local.json
    sam local start-api --template .aws-sam/build/local.json

Tried with SAM 1.170.0: where a template has functions of SAM's kind, `start-api` overlooks an API Gateway that is
written out as CloudFormation's resources, as ours is. A second argument is the endpoint of an emulator for the
functions: SAM gives a function no variable that the template does not name.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from cli.local.template import Template, load

# Every path and method, as the route $default of our API.
EVERY_REQUEST = {"Type": "HttpApi"}


def for_sam_local(template: Template, *endpoint: str) -> Template:
    """The template, changed in place."""
    template["Resources"]["ApiFunction"]["Properties"]["Events"] = {"EveryRequest": EVERY_REQUEST}
    for url in endpoint:
        template["Globals"]["Function"]["Environment"]["Variables"]["AWS_ENDPOINT_URL"] = url
    return template


if __name__ == "__main__":
    json.dump(for_sam_local(load(Path(sys.argv[1])), *sys.argv[2:]), sys.stdout)
