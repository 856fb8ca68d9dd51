-- wrk script: POST /v1/orders, a fresh idempotency key each time, one line of one of the SKUs in $SKUS.
local token = os.getenv("TOKEN")
local skus = {}
for sku in string.gmatch(os.getenv("SKUS"), "%S+") do skus[#skus + 1] = sku end
local n = 0
local run = os.getenv("RUN") .. "-" .. tostring({}):sub(8)

function request()
    n = n + 1
    return wrk.format("POST", "/v1/orders", {
        ["Authorization"] = "Bearer " .. token,
        ["Content-Type"] = "application/json",
        ["Idempotency-Key"] = run .. "-" .. n,
    }, '{"items":[{"sku":"' .. skus[math.random(#skus)] .. '","quantity":1}]}')
end

