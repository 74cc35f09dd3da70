-- SPDX-License-Identifier: MIT
--
-- The requests that scripts/load sends, for wrk. That script is the way to run it; it hands over,
-- in the environment: LOAD_MODE (reads, writes, mix, login), LOAD_TOKEN, and LOAD_ROOMS, the ids
-- of the rooms with blanks between them. Lines for the script to show start with "@".

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
local function day(n)
	local z = n + 766950 -- days from 0000-03-01 to 2100-01-01
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

local count = 0
local function read()
	count = count + 1
	return reads[count % #reads + 1]
end

-- Of 100: 72 reads, 10 lists of bookings, 18 writes. Beside them two logins a second from the first
-- thread: at about 20 ms of hashing each that is 4 % of a CPU.
local turn, last_login, logins_due = 0, 0, 0
local function mixed()
	turn = turn + 1
	if thread_id == 0 and turn % 16 == 0 then
		local now = os.time()
		if now > last_login then
			last_login = now
			logins_due = 2
		end
		if logins_due > 0 then
			logins_due = logins_due - 1
			return login
		end
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
	unexpected = 0
	threads_total = tonumber(os.getenv("LOAD_THREADS")) or 1
	prepare()
	local kinds = { reads = read, writes = write, mix = mixed, login = function() return login end }
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
	local bad = 0
	for _, thread in ipairs(threads) do
		bad = bad + (thread:get("unexpected") or 0)
	end
	if mode == "reads" or mode == "login" then
		bad = summary.errors.status
	end
	local e = summary.errors
	local broken = e.connect + e.read + e.write + e.timeout
	print(string.format("@%s: %d requests in %.1f s, %.0f requests/s", mode, summary.requests,
		summary.duration / 1e6, summary.requests / (summary.duration / 1e6)))
	print(string.format("@latency ms: p50 %.2f, p90 %.2f, p99 %.2f, p99.9 %.2f, max %.2f",
		latency:percentile(50) / 1e3, latency:percentile(90) / 1e3,
		latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3, latency.max / 1e3))
	print(string.format("@unexpected statuses: %d, broken connections: %d", bad, broken))
	print(string.format("result %d", bad + broken))
end
