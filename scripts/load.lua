-- SPDX-License-Identifier: MIT
--
-- The requests that scripts/load sends, for wrk. That script is the way to run it; it hands over,
-- in the environment: LOAD_MODE (reads, writes, mix, login, bookings), LOAD_TOKEN, and LOAD_ROOMS, the ids
-- of the rooms with blanks between them; for the mode bookings, LOAD_BOOKINGS, how many. Lines for
-- the script to show start with "@".

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

local function book()
	local room = rooms[sequence % #rooms + 1]
	local n = math.floor(sequence / #rooms) * threads_total + thread_id
	sequence = sequence + 1
	return wrk.format("POST", "/bookings", auth,
		'{"room_id":"' .. room .. '","booked_on":"' .. day(n % DAYS) .. '"}')
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
	return wrk.format("DELETE", "/bookings/" .. id, auth)
end

local reads, login, bookings
local function prepare()
	reads = {
		wrk.format("GET", "/rooms"),
		wrk.format("GET", "/rooms?day_to_book=2100-01-01"),
	}
	for _, id in ipairs(rooms) do
		reads[#reads + 1] = wrk.format("GET", "/rooms/" .. id)
		reads[#reads + 1] = wrk.format("GET", "/rooms/" .. id .. "/photos")
	end
	login = wrk.format("POST", "/auth/login", json, '{"username":"demo","password":"demo"}')
	bookings = wrk.format("GET", "/bookings", auth)
end

-- Exactly so many bookings, by one thread; after that its connections ask for what costs nothing,
-- until the last of the bookings is answered.
local total = tonumber(os.getenv("LOAD_BOOKINGS"))
local sent, answered, checked = 0, 0, false
local filler = wrk.format("GET", "/healthz")

local function booking()
	-- wrk's first call is to see whether this is HTTP: it is not sent
	if sent == total or not checked then
		checked = true
		return filler
	end
	local room, n = rooms[sent % #rooms + 1], math.floor(sent / #rooms)
	sent = sent + 1
	return wrk.format("POST", "/bookings", auth,
		'{"room_id":"' .. room .. '","booked_on":"' .. day(n, TO_2025) .. '"}')
end

local function booked_one(status)
	if status == 200 then
		return
	end
	answered = answered + 1
	created = created + (status == 201 and 1 or 0)
	unexpected = unexpected + (status == 201 and 0 or 1)
	if answered == total then
		print("booked")
		io.flush()
		wrk.thread:stop()
	end
end

local count = 0
local function read()
	count = count + 1
	return reads[count % #reads + 1]
end

-- Of 100: 72 reads, 10 lists of bookings, 18 writes. A login takes as much CPU as 250 of the others:
-- one in 10000 keeps hashing below a tenth of the server's CPU, however fast the machine is.
local turn = 0
local function mixed()
	turn = turn + 1
	if turn % 10000 == 5000 then
		return login
	end
	local part = (turn * 37) % 100 -- each of 0 to 99 once in 100 turns, well stirred
	if part < 72 then
		return read()
	elseif part < 82 then
		return bookings
	end
	return write()
end

function init(args)
	unexpected, created = 0, 0
	threads_total = tonumber(os.getenv("LOAD_THREADS")) or 1
	prepare()
	local kinds = { reads = read, writes = write, mix = mixed, login = function() return login end }
	if mode == "bookings" then
		request, response = booking, booked_one
		return
	end
	request = kinds[mode]
	if mode == "reads" or mode == "login" then
		return -- wrk is much faster without response(), and counts errors itself
	end
	response = function(status, headers, body)
		if status == 201 then
			remember(body)
		elseif status ~= 200 and status ~= 204 then
			unexpected = unexpected + 1
		end
	end
end

function done(summary, latency, requests)
	local bad, new = 0, 0
	for _, thread in ipairs(threads) do
		bad = bad + (thread:get("unexpected") or 0)
		new = new + (thread:get("created") or 0)
	end
	if mode == "reads" or mode == "login" then
		bad = summary.errors.status
	end
	local e = summary.errors
	local broken = e.connect + e.read + e.write + e.timeout
	if mode == "bookings" then
		local seconds = summary.duration / 1e6
		print(string.format("@bookings: %d of %d made in %.1f s, %.0f bookings/s", new, total,
			seconds, new / seconds))
		bad = total - new
	else
		print(string.format("@%s: %d requests in %.1f s, %.0f requests/s", mode, summary.requests,
		summary.duration / 1e6, summary.requests / (summary.duration / 1e6)))
	end
	print(string.format("@latency ms: p50 %.2f, p90 %.2f, p99 %.2f, p99.9 %.2f, max %.2f",
		latency:percentile(50) / 1e3, latency:percentile(90) / 1e3,
		latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3, latency.max / 1e3))
	print(string.format("@unexpected statuses: %d, broken connections: %d", bad, broken))
	print(string.format("result %d", bad + broken))
end
