-- SPDX-License-Identifier: MIT
--
-- The requests that scripts/load sends, for wrk. That script is the way to run it. It hands over, in
-- the environment: LOAD_MODE (reads, writes, mix, login, bookings, or steady, which is the mix without
-- its logins), LOAD_SECONDS, LOAD_CONNECTIONS of a thread, LOAD_THREADS, LOAD_TOKEN, and LOAD_ROOMS,
-- the ids of the rooms with blanks between them; for the mode bookings, LOAD_BOOKINGS, how many.
--
-- What is sent is counted by route, and nothing is left under way at the end: when the time is over
-- or all is sent, each connection is parked as soon as its last answer is there; when all of them
-- are, the thread prints "drained".
--
-- Lines for the script: "drained", "count N ROUTE", "result N", and "@" before what is to be shown.

local ffi = require("ffi")
ffi.cdef([[
struct load_timespec { long sec, nsec; };
int clock_gettime(int clock, struct load_timespec *ret);
]])

local CLOCK_MONOTONIC = 1
local timespec = ffi.new("struct load_timespec")
local function now()
	ffi.C.clock_gettime(CLOCK_MONOTONIC, timespec)
	return tonumber(timespec.sec) + tonumber(timespec.nsec) / 1e9
end

local mode = os.getenv("LOAD_MODE")
local rooms = {}
for id in (os.getenv("LOAD_ROOMS") or ""):gmatch("%S+") do
	rooms[#rooms + 1] = id
end

local json = { ["Content-Type"] = "application/json" }
local auth = {
	["Content-Type"] = "application/json",
	["Authorization"] = "Bearer " .. (os.getenv("LOAD_TOKEN") or ""),
}

-- wrk runs setup(), done() and this in one Lua state, and everything else in one for each thread.
local threads = {}
function setup(thread)
	thread:set("thread_id", #threads)
	threads[#threads + 1] = thread
end

-- How many of each route were sent; read by done().
sent = {}
local function counted(route, text)
	sent[route] = (sent[route] or 0) + 1
	return text
end

-- Days in the proleptic Gregorian calendar as YYYY-MM-DD, n days after 2100-01-01. Counted in eras
-- of 400 years from a 1st of March, so that the leap day is a year's last.
local TO_2100 = 766950 -- days from 0000-03-01 to 2100-01-01
local TO_2025 = 739565 -- and to 2025-01-09
local function day(n, from)
	local z = n + (from or TO_2100)
	local era = math.floor(z / 146097)
	local doe = z - era * 146097
	local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524)
		- math.floor(doe / 146096)) / 365)
	local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
	local mp = math.floor((5 * doy + 2) / 153)
	local d = doy - math.floor((153 * mp + 2) / 5) + 1
	local m = mp < 10 and mp + 3 or mp - 9
	local y = yoe + era * 400 + (m <= 2 and 1 or 0)
	return string.format("%04d-%02d-%02d", y, m, d)
end

local DAYS = 2885000 -- up to the year 9998

-- Each thread has its own days, goes through them in order, and deletes what it booked. It comes
-- back to a day only after millions of bookings, when that one is long deleted.
local booked, oldest, newest, sequence = {}, 1, 0, 0

local function remember(body)
	newest = newest + 1
	booked[newest] = body:match('"id":"([^"]+)"')
end

local function post_booking(room, booked_on)
	return counted("POST /bookings", wrk.format("POST", "/bookings", auth,
		'{"room_id":"' .. room .. '","booked_on":"' .. booked_on .. '"}'))
end

local function book()
	local room = rooms[sequence % #rooms + 1]
	local n = math.floor(sequence / #rooms) * threads_total + thread_id
	sequence = sequence + 1
	return post_booking(room, day(n % DAYS))
end

local deleting = false
local function write()
	deleting = not deleting
	local id = booked[oldest]
	if not deleting or id == nil then
		return book()
	end
	booked[oldest] = nil
	oldest = oldest + 1
	return counted("DELETE /bookings/:id", wrk.format("DELETE", "/bookings/" .. id, auth))
end

local reads, login, bookings
local function prepare()
	reads = {
		{ "GET /rooms", wrk.format("GET", "/rooms") },
		{ "GET /rooms", wrk.format("GET", "/rooms?day_to_book=2100-01-01") },
	}
	for _, id in ipairs(rooms) do
		reads[#reads + 1] = { "GET /rooms/:id", wrk.format("GET", "/rooms/" .. id) }
		reads[#reads + 1] = { "GET /rooms/:id/photos",
			wrk.format("GET", "/rooms/" .. id .. "/photos") }
	end
	login = wrk.format("POST", "/auth/login", json, '{"username":"demo","password":"demo"}')
	bookings = wrk.format("GET", "/bookings", auth)
end

local function log_in()
	return counted("POST /auth/login", login)
end

-- Exactly so many bookings, by one thread.
local total = tonumber(os.getenv("LOAD_BOOKINGS"))
local made = 0
local function booking()
	local room, n = rooms[made % #rooms + 1], math.floor(made / #rooms)
	made = made + 1
	return post_booking(room, day(n, TO_2025))
end

local turn_of_reads = 0
local function read()
	turn_of_reads = turn_of_reads + 1
	local one = reads[turn_of_reads % #reads + 1]
	return counted(one[1], one[2])
end

-- Of 100: 72 reads, 10 lists of bookings, 18 writes.
local turn = 0
local function steady()
	turn = turn + 1
	local part = (turn * 37) % 100 -- each of 0 to 99 once in 100 turns, well stirred
	if part < 72 then
		return read()
	elseif part < 82 then
		return counted("GET /bookings", bookings)
	end
	return write()
end

-- The same with logins. One takes as much CPU as 250 of the others: one in 10000 keeps hashing below
-- a tenth of the server's CPU, however fast the machine is.
local function mixed()
	if (turn + 1) % 10000 == 5000 then
		turn = turn + 1
		return log_in()
	end
	return steady()
end

-- wrk asks a connection for its next request when it has the last answer. An empty one is sent as
-- nothing, and answered by nothing.
parked = 0
local connections = tonumber(os.getenv("LOAD_CONNECTIONS"))
local function park()
	parked = parked + 1
	if parked == connections then
		print("drained")
		io.flush()
		wrk.thread:stop()
	end
	return ""
end

local seconds, ends = tonumber(os.getenv("LOAD_SECONDS")), nil
local function over()
	if mode == "bookings" then
		return made == total
	end
	ends = ends or now() + seconds
	return now() >= ends
end

local kinds = {
	reads = read,
	writes = write,
	mix = mixed,
	steady = steady,
	login = log_in,
	bookings = booking,
}

-- wrk is much faster without a response(), and counts errors itself
local function watch_answers()
	response = function(status, headers, body)
		if status == 201 then
			created = created + 1
			remember(body)
		elseif status ~= 200 and status ~= 204 then
			unexpected = unexpected + 1
			taken = taken + (status == 409 and 1 or 0)
		end
	end
end

function init(args)
	local next_one = kinds[mode]
	unexpected, created, taken = 0, 0, 0
	threads_total = tonumber(os.getenv("LOAD_THREADS")) or 1
	prepare()
	-- wrk's first call, in its first thread, is to see whether this is HTTP: it is not sent
	local tried = thread_id ~= 0
	request = function()
		if not tried then
			tried = true
			return bookings
		end
		return over() and park() or next_one()
	end
	if mode ~= "reads" and mode ~= "login" then
		watch_answers()
	end
end

function done(summary, latency, requests)
	local bad, new, conflicts, waiting = 0, 0, 0, 0
	for _, thread in ipairs(threads) do
		bad = bad + (thread:get("unexpected") or 0)
		new = new + (thread:get("created") or 0)
		conflicts = conflicts + (thread:get("taken") or 0)
		waiting = waiting + math.max(0, connections - (thread:get("parked") or 0))
		for route, n in pairs(thread:get("sent")) do
			print(string.format("count %d %s", n, route))
		end
	end
	if mode == "reads" or mode == "login" then
		bad = summary.errors.status
	end
	local e = summary.errors
	local broken = e.connect + e.read + e.write + e.timeout
	local took = summary.duration / 1e6
	if mode == "bookings" then
		print(string.format("@bookings: %d of %d made in %.1f s, %.0f bookings/s", new, total,
			took, new / took))
		bad = total - new
		if conflicts > 0 then
			print(string.format("@%d were booked already: start with a new database", conflicts))
		end
	else
		print(string.format("@%s: %d requests in %.1f s, %.0f requests/s", mode,
			summary.requests, took, summary.requests / took))
	end
	print(string.format("@latency ms: p50 %.2f, p90 %.2f, p99 %.2f, p99.9 %.2f, max %.2f",
		latency:percentile(50) / 1e3, latency:percentile(90) / 1e3,
		latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3, latency.max / 1e3))
	print(string.format("@unexpected statuses: %d, broken connections: %d, unanswered: %d", bad,
		broken, waiting))
	print(string.format("result %d", bad + broken + waiting))
end
