#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""stack_depth.py OBJECT [LIMIT] - how deep the stack of each program in a BPF object gets.

Linux 6.1 adds up, along every chain of calls and of callbacks of bpf_loop(), what each function uses
of its stack, in steps of 32 bytes, and loads no program with more than 512 (LIMIT), nor with more than 8
functions in a chain. Newer kernels count in smaller steps. Prints each program's deepest chain; exits 1
where one is too deep.
"""
import struct
import sys

STEP, FRAMES = 32, 8
LDX, ST, STX = 1, 2, 3
MOV, ADD, CALL, LOAD = 0xbf, 0x07, 0x85, 0x18
FRAME = 10 # the register that points to the stack


def read_elf(data):
    """The sections as (name, type, link, info, bytes), and the symbols as (name, type, section, value, size)."""
    at, size, count, names = (struct.unpack_from(form, data, where)[0] for form, where in
                              (("<Q", 40), ("<H", 58), ("<H", 60), ("<H", 62)))
    heads = [struct.unpack_from("<IIQQQQIIQQ", data, at + i * size) for i in range(count)]
    body = lambda head: data[head[4]:head[4] + head[5]]
    text = lambda table, where: table[where:table.index(b"\0", where)].decode()
    sections = [(text(body(heads[names]), head[0]), head[1], head[6], head[7],
                 b"" if head[1] == 8 else body(head)) for head in heads]
    symbols = []
    for name, kind, link, info, table in sections:
        if kind == 2: # SHT_SYMTAB
            for where, flags, _, section, value, length in struct.iter_unpack("<IBBHQQ", table):
                symbols.append((text(sections[link][4], where), flags & 15, section, value, length))
    return sections, symbols


class Function:
    def __init__(self, name):
        self.name, self.used, self.calls = name, 0, set()


def read_function(function, section, code, start, end, relocated):
    """What it uses of the stack, and the (section, offset) of each function that it calls or hands on."""
    alias = {FRAME: 0} # registers that point into the stack, and where
    at = start
    while at < end:
        op, regs, off, imm = struct.unpack_from("<BBhi", code, at)
        dst, src, kind = regs & 15, regs >> 4, op & 7
        base = src if kind == LDX else dst if kind in (ST, STX) else None
        if base in alias:
            function.used = max(function.used, -(alias[base] + off))
        target = relocated.get(at)
        if op == CALL and src == 1:
            function.calls.add(target(8 * (imm + 1)) if target else (section, at + 8 * (imm + 1)))
        elif op == LOAD and target:
            function.calls.add(target(imm))
        if op == MOV and src in alias:
            alias[dst] = alias[src]
        elif op == ADD and dst in alias and dst != FRAME:
            alias[dst] += imm
            function.used = max(function.used, -alias[dst])
        elif kind in (0, LDX, 4, 7) and op != MOV and dst != FRAME:
            alias.pop(dst, None)
        elif op == MOV and dst != FRAME:
            alias.pop(dst, None)
        at += 16 if op == LOAD else 8


def read_functions(data):
    sections, symbols = read_elf(data)
    relocated = {} # section -> offset -> what makes the target of an immediate
    for name, kind, link, info, table in sections:
        if kind == 9: # SHT_REL
            for where, what in struct.iter_unpack("<QQ", table):
                _, form, section, value, _ = symbols[what >> 32]
                if form in (2, 3): # a function, or a section
                    base = value if form == 2 else 0
                    relocated.setdefault(info, {})[where] = (
                        lambda imm, s=section, b=base, f=form: (s, b) if f == 2 else (s, imm))
    functions = {(section, value): Function(name) for name, form, section, value, length in symbols if form == 2}
    for name, form, section, value, length in symbols:
        if form == 2:
            read_function(functions[section, value], section, sections[section][4], value, value + length,
                          relocated.get(section, {}))
    programs = [place for place in functions if sections[place[0]][0] != ".text"]
    return functions, programs


def deepest(functions, place, known):
    if place not in known:
        function = functions[place]
        chains = [deepest(functions, call, known) for call in function.calls if call in functions]
        below = max(chains, key=lambda chain: chain[0], default=(0, 0, []))
        own = (max(function.used, 1) + STEP - 1) // STEP * STEP
        known[place] = (own + below[0], 1 + max((chain[1] for chain in chains), default=0),
                        [(function.name, own)] + below[2])
    return known[place]


def main():
    limit = int(sys.argv[2]) if len(sys.argv) > 2 else 512
    with open(sys.argv[1], "rb") as file:
        functions, programs = read_functions(file.read())
    known, failed = {}, not programs
    for place in programs:
        depth, frames, chain = deepest(functions, place, known)
        wrong = depth > limit or frames > FRAMES
        print("%s: %d bytes, %d frames: %s" % (functions[place].name, depth, frames,
                                               " > ".join("%s %d" % link for link in chain)))
        if wrong:
            print("%s is too deep for Linux 6.1: %d bytes of %d, %d functions of %d" %
                  (functions[place].name, depth, limit, frames, FRAMES))
        failed |= wrong
    sys.exit(failed)


main()
