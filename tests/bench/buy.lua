-- POST /buy, each by another account from another address. Arguments: name of the bench, SKU, number of the run.
dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "report.lua")

local threads = 0
local head, tail, prefix
local count = 0

function setup(thread)
	thread:set("number", threads)
	threads = threads + 1
end

function init(args)
	local body_tail = '","userLevel":5,"goodsSKU":"' .. args[2] .. '","goodsQuantity":1}'
	prefix = string.format("%s-%s-%d-", args[1], args[3], number)
	tail = body_tail
	head = "POST /buy HTTP/1.1\r\nHost: " .. wrk.host .. "\r\nContent-Type: application/json\r\nContent-Length: "
end

-- Written out instead of wrk.format: making a request must not be what is measured.
function request()
	count = count + 1
	local address = string.format("10.%d.%d.%d", count / 65536 % 256, count / 256 % 256, count % 256)
	local body = '{"sessionID":"","clientIP":"' .. address .. '","userID":"' .. prefix .. count .. tail
	return head .. #body .. "\r\n\r\n" .. body
end
