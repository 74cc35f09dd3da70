// SPDX-License-Identifier: MIT
//
// The search: text in names, arguments and numbers becomes a list of names of things, by time.

const latin = new TextDecoder("latin1");

// Where in the bytes of all of a thread's arguments the text is, in this case or in any.
function placesOf(th, text) {
	if (th.moreText === undefined) th.moreText = latin.decode(th.more).toLowerCase();
	const places = [],
		encoder = new TextEncoder(),
		needles = [text, text.toLowerCase(), text.toUpperCase()].map(s =>
			latin.decode(encoder.encode(s)).toLowerCase()
		);
	for (const needle of new Set(needles)) {
		let at = th.moreText.indexOf(needle);
		for (; at >= 0; at = th.moreText.indexOf(needle, at + 1)) places.push(at);
	}
	return Uint32Array.from(places).sort();
}

// Where the arguments of a span are: what is before them are numbers.
function argumentsAt(r, row, i) {
	const head = row.head[i],
		kind = head & 3;
	r.at = row.more[i];
	for (let k = kind === 1 ? 5 : kind === 3 ? 1 : 2; k > 0; k--) r.u();
	if (head & 32) r.u();
	const size = r.u();
	return { from: r.at, to: r.at + size };
}

function argumentHits(th, text, found) {
	const places = th.more.length ? placesOf(th, text) : [],
		r = new Reader(th.more);
	if (!places.length) return;
	for (const row of th.rows) {
		// A row's spans have their bytes in their order.
		let next = 0;
		for (let i = 0; i < row.n && next < places.length; i++) {
			if (!(row.head[i] & 16)) continue;
			while (next < places.length && places[next] < row.more[i]) next++;
			const at = argumentsAt(r, row, i);
			while (next < places.length && places[next] < at.from) next++;
			if (next < places.length && places[next] < at.to) found(row, i);
		}
	}
}

// How many there are before each place.
function sumsOf(hits) {
	const before = new Uint32Array(hits.length + 1);
	for (let i = 0; i < hits.length; i++) before[i + 1] = before[i] + hits[i];
	return before;
}

// Is one of a lane's requests [i, j) a hit?
function hitsWithin(lane, hits, i, j) {
	if (lane.hitsOf !== hits) {
		lane.hitsOf = hits;
		lane.hitsBefore = sumsOf(lane.list.map(q => (hits.requests.has(q.index) ? 1 : 0)));
	}
	return lane.hitsBefore[j] > lane.hitsBefore[i];
}

function spanHits(t, text, match, hits) {
	const names = t.names.map(match),
		fault = match("page fault"),
		calls = [];
	t.syscalls.forEach((name, nr) => (calls[nr] = match(name)));
	for (const th of t.threads) {
		const found = (row, i) => {
			row.hits = row.hits || new Uint8Array(row.n);
			if (!row.hits[i]) hits.push({ time: row.start[i], row: row, i: i });
			row.hits[i] = 1;
		};
		for (const row of th.rows) {
			row.hits = null;
			for (let i = 0; i < row.n; i++) {
				const kind = row.head[i] & 3;
				if (
					(kind === 0 && names[row.name[i]]) ||
					(kind === 1 && calls[row.name[i]]) ||
					(kind === 2 && fault)
				)
					found(row, i);
			}
		}
		argumentHits(th, text, found);
		for (const row of th.rows) if (row.hits) row.hitsBefore = sumsOf(row.hits);
	}
}

function clearHits(t) {
	for (const th of t.threads) for (const row of th.rows) row.hits = null;
}

// What has the text in it, by time; null: nothing is looked for. Spans are marked in their rows.
function search(app, text) {
	const t = app.t,
		query = text.toLowerCase(),
		list = [],
		requests = new Set();
	if (!query) {
		clearHits(t);
		return null;
	}
	const match = s => s.toLowerCase().includes(query),
		routes = new Map(Array.from(app.medians.keys(), route => [route, match(route)])),
		number = /^\d+$/.test(query);
	for (const q of t.requests)
		if (
			app.matches(q) &&
			(routes.get(q.route) || match(q.what) || (number && String(q.id) === query))
		) {
			list.push({ time: q.start, name: "q" + q.index });
			requests.add(q.index);
		}
	for (const th of t.threads)
		if (th.states.n && (match(th.name) || String(th.tid) === query))
			list.push({ time: th.born, name: "s" + th.number + ".0" });
	spanHits(t, text, match, list);
	for (const e of t.instants)
		if (e.kind !== SAMPLE && (match(e.name) || match(e.args) || match(t.kinds[e.kind])))
			list.push({ time: e.time, name: "i" + e.index });
	list.sort((a, b) => a.time - b.time);
	return { list: list, requests: requests };
}

// Made when it is needed: there may be a million.
function hitName(hit) {
	return hit.name || "p" + hit.row.id + hit.i;
}
