-- What wrk sends, given as files: arguments are a file of targets and a file of tokens (one a line each).
-- A line of targets is "METHOD PATH". A POST gets a body that no other has, and a key of its own.
local targets, tokens, ready, sent, prefix = {}, {}, {}, 0, ""

local function read(name)
  local lines = {}
  for line in io.lines(name) do
    lines[#lines + 1] = line
  end
  return lines
end

local function headers(token, more)
  local made = {
    ["Accept"] = "*/*",
    ["Authorization"] = "Bearer " .. token,
    ["X-Forwarded-For"] = "192.0.2.1",
  }
  for name, value in pairs(more or {}) do
    made[name] = value
  end
  return made
end

function init(arguments)
  prefix = arguments[3]
  tokens = read(arguments[2])
  for _, line in ipairs(read(arguments[1])) do
    local method, path = line:match("^(%S+) (%S+)$")
    targets[#targets + 1] = { method = method, path = path }
  end
  -- Whoever asks, asks for something else each time: made ahead, sending costs nothing.
  for number = 1, math.max(#targets, #tokens) do
    local target = targets[(number - 1) % #targets + 1]
    if target.method == "GET" then
      ready[number] = wrk.format("GET", target.path, headers(tokens[(number - 1) % #tokens + 1]))
    end
  end
end

function request()
  sent = sent + 1
  if #ready > 0 then
    return ready[(sent - 1) % #ready + 1]
  end
  local target, token = targets[(sent - 1) % #targets + 1], tokens[(sent - 1) % #tokens + 1]
  local name = prefix .. "-" .. sent
  local body = '{"name": "Learner", "email": "' .. name .. '@bench.test"}'
  return wrk.format(target.method, target.path, headers(token, {
    ["Content-Type"] = "application/json",
    ["Idempotency-Key"] = name,
  }), body)
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "microseconds": %d, "statuses": %d, "sockets": %d, "p50": %d, "p99": %d}\n',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)
  ))
end
