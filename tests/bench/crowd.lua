-- POST /buy by a crowd: each time another of so many accounts, each from an address of its own. Arguments: name of the bench, SKU, how many.
dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "report.lua")

local head, tail, prefix, crowd
local count = 0

function init(args)
	prefix = args[1] .. "-"
	tail = '","userLevel":5,"goodsSKU":"' .. args[2] .. '","goodsQuantity":1}'
	crowd = tonumber(args[3])
	head = "POST /buy HTTP/1.1\r\nHost: " .. wrk.host .. "\r\nContent-Type: application/json\r\nContent-Length: "
end

function request()
	count = count + 1
	local who = count % crowd
	local address = string.format("10.%d.%d.%d", who / 65536 % 256, who / 256 % 256, who % 256)
	local body = '{"sessionID":"","clientIP":"' .. address .. '","userID":"' .. prefix .. who .. tail
	return head .. #body .. "\r\n\r\n" .. body
end
