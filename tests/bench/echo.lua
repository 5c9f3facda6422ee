-- POST /bench/echo with the body of a buy: the way of a buy through three hops that do nothing.
dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "report.lua")

wrk.method = "POST"
wrk.path = "/bench/echo"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"sessionID":"","clientIP":"10.0.0.1","userID":"bench","userLevel":5,"goodsSKU":"BENCH-BUY","goodsQuantity":1}'
