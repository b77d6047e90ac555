# Spark as a Terraform module: one CloudFormation stack, made from the template that `sam package` wrote. There is no
# second description of the resources: what template.yaml says is what Terraform deploys.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

locals {
  # Another word whenever the code or a parameter is another, for SAM publishes the functions anew by it alone: without it a
  # parameter would reach no function, and if it stayed the same, new code would not be published.
  release = substr(sha256(jsonencode([var.template_url, var.stage, var.parameters])), 0, 10)
}

resource "aws_cloudformation_stack" "spark" {
  name         = var.name
  template_url = var.template_url
  parameters   = merge({ Stage = var.stage, Release = local.release }, var.parameters)
  # The template holds a transform (SAM), which CloudFormation expands, and roles of its own.
  capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
  iam_role_arn = var.cloudformation_role_arn
  # What a first deployment made is kept when it fails: the data that template.yaml retains would be orphaned else.
  on_failure = "DO_NOTHING"
  tags       = var.tags

  timeouts {
    create = "60m"
    update = "150m" # a gradual deployment takes as long as its traffic shifting, 100 minutes at most
    delete = "60m"
  }

  lifecycle {
    precondition {
      condition     = length(setintersection(keys(var.parameters), ["Stage", "Release"])) == 0
      error_message = "Say the stage as the variable `stage`, not among the parameters; the module makes the release itself."
    }
  }
}
