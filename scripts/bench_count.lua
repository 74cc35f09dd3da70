-- SPDX-License-Identifier: MIT
--
-- scripts/load.lua, whose load it is, with a count of the answers that can be read while wrk runs:
-- BENCH_LOAD names that file, BENCH_COUNT the file for the count, rewritten at every 16th answer.

dofile(os.getenv("BENCH_LOAD"))

local init_load = init
function init(args)
	init_load(args)
	local answer, count = response, 0
	local file = assert(io.open(os.getenv("BENCH_COUNT"), "w"))
	response = function(status, headers, body)
		answer(status, headers, body)
		count = count + 1
		if count % 16 == 0 then
			file:seek("set")
			file:write(string.format("%015d\n", count))
			file:flush()
		end
	end
end
