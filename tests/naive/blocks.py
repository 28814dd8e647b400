"""The order of rows that are read by blocks, number by number, from docs/how-to/scaling.md."""

GOLDEN, MASK = 0x9E3779B97F4A7C15, 2**64 - 1


def mix(x):
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & MASK
    return x ^ (x >> 31)


def shuffled(rows, key, epoch):
    """Fisher and Yates, as an epoch in memory is shuffled."""
    rows, stream = list(rows), mix((key + epoch * GOLDEN) & MASK)
    for i in range(len(rows) - 1, 0, -1):
        j = ((mix((stream + i * GOLDEN) & MASK) & 0xFFFFFFFF) * (i + 1)) >> 32
        rows[i], rows[j] = rows[j], rows[i]
    return rows


def order_of_blocks(count, key, epoch):
    stream = mix((~key + epoch * GOLDEN) & MASK)
    return sorted(range(count), key=lambda i: mix((stream + i * GOLDEN) & MASK))


def epoch_order(starts, group, key, epoch):
    """All rows of an epoch, for blocks that begin at ``starts`` (and end at the last), and groups of so many rows."""
    blocks = [list(range(first, stop)) for first, stop in zip(starts[:-1], starts[1:], strict=True)]
    if group < starts[-1]:
        blocks = [blocks[i] for i in order_of_blocks(len(blocks), key, epoch)]
    rows, found = [row for block in blocks for row in block], []
    for number, first in enumerate(range(0, len(rows), group)):
        found += shuffled(rows[first : first + group], key, epoch + number * 2**32)
    return found


def merged(parts):
    """Mean and sum of squares around it of several parts' (count, mean, squares), in one go."""
    total = sum(count for count, _, _ in parts)
    mean = sum(count * mean for count, mean, _ in parts) / total
    return total, mean, sum(squares + count * (own - mean) ** 2 for count, own, squares in parts)
