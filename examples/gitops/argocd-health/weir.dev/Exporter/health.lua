local health = {status = "Progressing", message = "waiting for Weir's operator"}
if obj.status == nil or obj.status.conditions == nil then
  return health
end
if obj.status.observedGeneration ~= obj.metadata.generation then
  health.message = "waiting for the operator to see this generation"
  return health
end
for _, condition in ipairs(obj.status.conditions) do
  if condition.type == "Stalled" and condition.status == "True" then
    return {status = "Degraded", message = condition.message}
  end
end
for _, condition in ipairs(obj.status.conditions) do
  if condition.type == "Ready" then
    if condition.status ~= "True" then
      health.message = condition.message
    elseif condition.reason == "Suspended" then
      return {status = "Suspended", message = condition.message}
    else
      return {status = "Healthy", message = condition.message}
    end
  end
end
return health
