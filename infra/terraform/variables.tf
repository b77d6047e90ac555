variable "name" {
  description = "Name of the CloudFormation stack."
  type        = string
  default     = "spark"
}

variable "stage" {
  description = "Name of this environment, in every log line and metric: template.yaml's parameter Stage."
  type        = string
}

variable "template_url" {
  description = "Where the packaged template is, in S3: https://BUCKET.s3.REGION.amazonaws.com/KEY. It is above the 51,200 bytes that a template in the request may have."
  type        = string

  validation {
    condition     = startswith(var.template_url, "https://")
    error_message = "CloudFormation reads templates over https, from a bucket."
  }
}

variable "parameters" {
  description = "The other parameters of template.yaml but Release, by name, as strings. What is left out has the template's default."
  type        = map(string)
  default     = {}
}

variable "cloudformation_role_arn" {
  description = "The role that CloudFormation acts as; null: as whoever runs Terraform."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of the stack, which CloudFormation puts on all that takes tags."
  type        = map(string)
  default     = {}
}
