// SPDX-License-Identifier: MIT
//
// Figures: what the whole, or a range of it, comes to, and why a request took as long as it did. As
// in tools/lib/timeline_summary.h nothing is concluded from requests that are not whole.

// Nearest rank, of exact values.
function percentile(sorted, p) {
	return sorted.length ? sorted[Math.max(0, Math.ceil((p / 100) * sorted.length) - 1)] : 0;
}

const RANKS = [50, 90, 99, 99.9, 100];

// list: by latency, the least first.
function routeRows(list) {
	const by = new Map();
	for (const q of list) {
		let row = by.get(q.route);
		if (!row) {
			row = {
				route: q.route,
				all: 0,
				partial: 0,
				lost: 0,
				failed: 0,
				total: 0,
				whole: []
			};
			by.set(q.route, row);
		}
		row.all++;
		row.partial += q.partial ? 1 : 0;
		row.lost += q.lost && !q.partial ? 1 : 0;
		if (!q.counts) continue;
		row.failed += q.status >= 500 ? 1 : 0;
		row.total += q.latency;
		row.whole.push(q);
	}
	for (const row of by.values()) {
		row.mean = row.whole.length ? row.total / row.whole.length : 0;
		for (const p of RANKS) {
			const q = percentile(row.whole, p);
			row["q" + p] = q || null;
			row["p" + p] = q ? q.latency : 0;
		}
	}
	return Array.from(by.values()).sort((a, b) => b.whole.length - a.whole.length);
}

function running(total) {
	return total[USER] + total[SYSCALL];
}

function lifetime(total) {
	return total.reduce((a, b) => a + b, 0);
}

// Times by state of a thread within [from, to].
function totalsWithin(th, from, to) {
	const s = th.states,
		total = new Array(NR_THREAD_STATES).fill(0);
	for (let i = firstEnding(s, from); i < s.n && s.start[i] < to; i++)
		total[s.state[i]] += Math.min(s.end[i], to) - Math.max(s.start[i], from);
	return total;
}

// Those that touch [from, to].
function within(list, from, to) {
	return list.filter(q => q.end > from && q.start < to);
}

const REASONS = {
	3: "waited for a CPU after its wakeup",
	4: "had its CPU taken from it",
	5: "waited for a lock (futex)",
	6: "waited in epoll",
	7: "waited for the network",
	8: "waited for the disk",
	9: "slept",
	10: "waited for a page fault",
	11: "was blocked otherwise",
	13: "waited for its busy loop",
	14: "waited with nobody to work on it and its loop idle",
	15: "waited for a shared commit",
	16: "waited for its loop to send what was done",
	1: "ran in user mode",
	2: "ran in system calls",
	0: "is unknown: events are missing"
};

// A sentence, of the two partitions: each adds up to the latency.
function whySlow(t, q, medians) {
	const parts = q.states.slice().sort((a, b) => b[1] - a[1]);
	const phases = q.phases.filter(p => p[0]).sort((a, b) => b[1] - a[1]);
	const median = medians.get(q.route),
		share = ns => {
			return formatTime(ns) + " (" + formatPercent(ns, q.latency) + ")";
		};
	let text = "It took " + formatTime(q.latency);
	if (q.counts && median > 0 && q.latency >= 1.05 * median)
		text +=
			", " +
			(q.latency / median).toFixed(1) +
			" times the median of its route (" +
			formatTime(median) +
			")";
	text += parts.length ? ": it " : "";
	text += parts
		.slice(0, 3)
		.map(p => {
			const reason =
				p[0] >= QUEUED
					? "waited in the queue " + t.states[p[0]]
					: REASONS[p[0]] || "was in " + t.states[p[0]];
			return reason + " for " + share(p[1]);
		})
		.join(", then ")
		.replace(", then ", ", ")
		.replace(/, then ([^,]*)$/, " and $1");
	text += ".";
	if (phases.length)
		text +=
			" Its longest phase was " +
			t.phases[phases[0][0]] +
			": " +
			share(phases[0][1]) +
			".";
	const wait = q.waits[0];
	if (wait) {
		const frames = framesOf(t, wait.stack);
		text +=
			" Its longest single wait, " +
			formatTime(wait.length) +
			" in state " +
			stateName(t, wait.state) +
			", began " +
			formatTime(wait.start - q.start) +
			" after its begin" +
			(frames.length ? " at " + frames[0].f.name : "") +
			".";
	}
	if (q.items > 1) text += " Its commit was shared by " + q.items + ".";
	if (q.lost) text += " Events of it may be missing.";
	if (q.partial)
		text += q.open
			? " It had not ended when the recording did."
			: " It is not all in the recording.";
	return text;
}

// Steps of a count that goes up at each of `ups` and down at each of `downs`.
function steps(ups, downs) {
	const c = { time: [], value: [], max: 0, maxAt: 0 };
	let value = 0,
		i = 0,
		j = 0;
	ups.sort();
	downs.sort();
	while (i < ups.length || j < downs.length) {
		const at = i < ups.length && !(downs[j] <= ups[i]) ? ups[i] : downs[j];
		for (; downs[j] === at; j++) value--;
		for (; ups[i] === at; i++) value++;
		c.time.push(at);
		c.value.push(value);
		if (value > c.max) {
			c.max = value;
			c.maxAt = at;
		}
	}
	return c;
}

const BLOCK = 16;

// The highest of a counter's values [from, to): exact, at the price of a few blocks.
function mostOf(counter, from, to) {
	const value = counter.value;
	if (!counter.blocks) {
		counter.blocks = new Float64Array(Math.ceil(value.length / BLOCK));
		for (let i = 0; i < value.length; i++) {
			const block = Math.floor(i / BLOCK);
			counter.blocks[block] = Math.max(counter.blocks[block], value[i]);
		}
	}
	let most = 0;
	while (from < to)
		if (from % BLOCK === 0 && from + BLOCK <= to) {
			most = Math.max(most, counter.blocks[from / BLOCK]);
			from += BLOCK;
		} else {
			most = Math.max(most, value[from++]);
		}
	return most;
}

function inFlight(t) {
	return steps(
		Float64Array.from(t.requests, q => q.start),
		Float64Array.from(t.requests, q => (q.open ? t.end : q.end))
	);
}

function waitingForCpu(t) {
	let n = 0;
	for (const th of t.threads)
		for (let i = 0; i < th.states.n; i++)
			n += classOf(th.states.state[i]) === 1 ? 1 : 0;
	const ups = new Float64Array(n),
		downs = new Float64Array(n);
	for (const th of t.threads)
		for (let i = 0; i < th.states.n; i++)
			if (classOf(th.states.state[i]) === 1) {
				ups[--n] = th.states.start[i];
				downs[n] = th.states.end[i];
			}
	return steps(ups, downs);
}

// The 99th percentile of what ended within each second (each tenth, of short recordings).
function p99s(t) {
	const c = { time: [], value: [], max: 0, maxAt: 0 };
	c.every = t.end - t.start > 5e9 ? 1e9 : 1e8;
	const by = new Map();
	for (const q of t.requests)
		if (q.counts) {
			const at = Math.floor((q.end - t.start) / c.every);
			if (!by.has(at)) by.set(at, []);
			by.get(at).push(q.latency);
		}
	for (let at = 0; at * c.every < t.end - t.start; at++) {
		const list = (by.get(at) || []).sort((a, b) => a - b);
		const value = percentile(list, 99);
		c.time.push(t.start + at * c.every);
		c.value.push(value);
		if (value > c.max) {
			c.max = value;
			c.maxAt = t.start + at * c.every;
		}
	}
	return c;
}

// A total becomes its rate between readings.
function shownCounter(t, counter) {
	const what = t.counters_info[counter.counter] || ["counter", "count", 0],
		c = { time: [], value: [], max: 0, maxAt: 0 };
	for (let i = 0; i < counter.time.length; i++) {
		let value = counter.value[i];
		if (what[2]) {
			if (i + 1 >= counter.time.length) break;
			const seconds = (counter.time[i + 1] - counter.time[i]) / 1e9;
			if (seconds <= 0) continue;
			value = (counter.value[i + 1] - value) / seconds;
		}
		c.time.push(counter.time[i]);
		c.value.push(value);
		if (value > c.max) {
			c.max = value;
			c.maxAt = counter.time[i];
		}
	}
	const unit = what[1],
		several = t.counters.filter(other => other.counter === counter.counter).length > 1;
	c.format = v => {
		if (unit === "nanoseconds" && what[2])
			return (v / 1e7).toFixed(1) + "\u202f% of a CPU";
		return (
			(unit === "bytes"
				? formatBytes(v)
				: unit === "nanoseconds"
					? formatTime(v)
					: formatCount(Math.round(v))) + (what[2] ? "/s" : "")
		);
	};
	// Of which CPU or process is said where there are several.
	c.label = what[0];
	c.of = !several
		? ""
		: counter.cpu
			? "CPU " + (counter.cpu - 1)
			: counter.pid
				? "process " + counter.pid
				: "";
	return c;
}
