-- Requests for wrk: the tokens of a file in turn, or each with a signature that was never seen.
-- Arguments: KIND (good, none, forged), the file of tokens, how many of them, the target, how many were sent before.

local requests, next_one, forged = {}, 0, nil

local function head(target, authorization)
    return "GET " .. target .. " HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: wrk\r\nAccept: */*\r\n"
        .. authorization .. "\r\n"
end

function init(arguments)
    local kind, file, count, target = arguments[1], arguments[2], tonumber(arguments[3]), arguments[4]
    next_one = tonumber(arguments[5])
    if kind == "none" then
        requests[1] = head(target, "")
        return
    end
    for token in io.lines(file) do
        if #requests == count then break end
        requests[#requests + 1] = head(target, "Authorization: Bearer " .. token .. "\r\n")
    end
    if kind == "forged" then
        -- The first characters of the signature are a number, from wherever the clock stands.
        local start, stop = requests[1]:find("Bearer [^.]+%.[^.]+%.")
        forged = { requests[1]:sub(1, stop), requests[1]:sub(stop + 1 + 16) }
        next_one = os.time() % 1000000 * 1000000000
    end
end

function request()
    next_one = next_one + 1
    if forged then
        return forged[1] .. string.format("%016.0f", next_one) .. forged[2]
    end
    return requests[(next_one - 1) % #requests + 1]
end
