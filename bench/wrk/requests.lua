-- One script for all loads. Environment: COFFER_LOAD (create-configmap, create-secret, patch, get, list, list-limit), COFFER_TOKEN,
-- COFFER_NAMESPACE. Every thread counts its own names; there is one thread.
local load = os.getenv("COFFER_LOAD")
local token = os.getenv("COFFER_TOKEN")
local ns = os.getenv("COFFER_NAMESPACE") or "bench"
local run = os.getenv("COFFER_RUN") or "0"
local configmaps = "/api/v1/namespaces/" .. ns .. "/configmaps"
local auth = { ["Authorization"] = "Bearer " .. token }
local json = { ["Authorization"] = "Bearer " .. token, ["Content-Type"] = "application/json" }
local merge = { ["Authorization"] = "Bearer " .. token, ["Content-Type"] = "application/merge-patch+json" }
local value = string.rep("x", 900)
local secret = string.rep("eHh4", 300)
local n = 0

function request()
  n = n + 1
  if load == "create-configmap" then
    local body = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c' .. run .. "-" .. n .. '","labels":{"app":"bench"}},"data":{"k":"' .. value .. '"}}'
    return wrk.format("POST", configmaps, json, body)
  elseif load == "create-secret" then
    local body = '{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s' .. run .. "-" .. n .. '","labels":{"app":"bench"}},"data":{"k":"' .. secret .. '"}}'
    return wrk.format("POST", "/api/v1/namespaces/" .. ns .. "/secrets", json, body)
  elseif load == "patch" then
    return wrk.format("PATCH", configmaps .. "/p" .. (n % 500), merge, '{"data":{"v":"' .. n .. '"}}')
  elseif load == "get" then
    return wrk.format("GET", configmaps .. "/p0", auth)
  elseif load == "list" then
    return wrk.format("GET", configmaps, auth)
  else
    return wrk.format("GET", configmaps .. "?limit=500", auth)
  end
end

local failures = 0
function response(status)
  if status >= 300 then failures = failures + 1; if failures < 4 then print("unexpected status " .. status) end end
end
