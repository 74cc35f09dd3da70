# SPDX-License-Identifier: MIT
"""A reader of pprof files, just large enough to check ours: the wire format by hand.

Fields by their numbers in profile.proto (github.com/google/pprof, proto/profile.proto).
"""

import collections
import gzip

import wire

Profile = collections.namedtuple(
    "Profile", "sample_types samples mappings strings period duration comments"
)


def read(path):
    with gzip.open(path) as file:
        top = collections.defaultdict(list)
        for number, value in wire.fields(file.read()):
            top[number].append(value)
    strings = [value.decode() for value in top[6]]
    if strings[0] != "":
        raise ValueError("string 0 must be empty")
    functions = {}
    for value in top[5]:
        fields = dict(wire.fields(value))
        functions[fields[1]] = strings[fields.get(2, 0)]
    mappings = {dict(wire.fields(value))[1]: dict(wire.fields(value)) for value in top[3]}
    locations = {}
    for value in top[4]:
        fields = list(wire.fields(value))
        lines = [dict(wire.fields(line)) for number, line in fields if number == 4]
        # The innermost of inlined lines comes first.
        locations[dict(fields)[1]] = [functions[line[1]] for line in lines]
    samples = []
    for value in top[2]:
        ids, values, labels = [], [], {}
        for number, field in wire.fields(value):
            if number == 1:
                ids += wire.numbers(field)
            elif number == 2:
                values += wire.numbers(field)
            elif number == 3:
                label = dict(wire.fields(field))
                text = strings[label[2]] if label.get(2) else label.get(3)
                labels[strings[label[1]]] = text
        stack = [name for one in ids for name in locations[one]]
        samples.append((tuple(stack[::-1]), values, labels))
    types = []
    for value in top[1]:
        fields = dict(wire.fields(value))
        types.append((strings[fields.get(1, 0)], strings[fields.get(2, 0)]))
    return Profile(
        types,
        samples,
        mappings,
        strings,
        top[12][-1] if top[12] else 0,
        top[10][-1] if top[10] else 0,
        [strings[n] for value in top[13] for n in wire.numbers(value)],
    )
