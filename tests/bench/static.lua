-- GET /bench/static: nginx answers at once and our module never runs.
dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "report.lua")

wrk.path = "/bench/static"
