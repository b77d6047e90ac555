output "api_url" {
  description = "The API; its documentation is at /api/v1/docs."
  value       = aws_cloudformation_stack.spark.outputs["ApiUrl"]
}

output "bootstrap_secret_arn" {
  description = "Where the first API key is, in Secrets Manager."
  value       = aws_cloudformation_stack.spark.outputs["BootstrapSecretArn"]
}

output "alarm_topic_arn" {
  description = "Where alarms are told."
  value       = aws_cloudformation_stack.spark.outputs["AlarmTopicArn"]
}

output "outputs" {
  description = "All outputs of template.yaml, by name."
  value       = aws_cloudformation_stack.spark.outputs
}
