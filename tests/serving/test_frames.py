"""Frames: what was written is read back; what was torn or damaged is told from it."""

from trimtab.serving.frames import Entry, Frame, Layout, Opening, Scan, framed, frames_in

OPENING = Opening(1, "S1", "late", 7)
LAYOUT = Layout(0, "late", 3, "sha256:x", (("distance", "float"),), (("probability", "float"), ("label", "text")))


def entry(number: int) -> Entry:
    return Entry(
        layout=0, at_us=number, source="raw", stage="full", reason="champion", latency_us=5, ids=[f"D{number}"],
        values=[[1.5, None, "x", True, 3]], outputs=[[0.25], ["late"]],
    )  # fmt: skip


def bytes_of(*frames: Frame) -> bytes:
    buffer, parts = bytearray(), []
    for frame in frames:
        framed(frame, buffer)
        parts.append(bytes(buffer))
    return b"".join(parts)


def test_frames_come_back_as_they_were() -> None:
    frames = (OPENING, LAYOUT, entry(1), entry(2))
    scan = Scan()
    data = bytes_of(*frames)
    assert tuple(frames_in(data, scan)) == frames
    assert (scan.end, scan.damaged) == (len(data), 0)


def test_a_tail_torn_at_any_byte_costs_only_the_last_frame() -> None:
    whole = bytes_of(OPENING, LAYOUT, entry(1))
    data = whole + bytes_of(entry(2))
    for end in range(len(whole), len(data)):
        scan = Scan()
        assert tuple(frames_in(data[:end], scan)) == (OPENING, LAYOUT, entry(1)), end
        assert (scan.end, scan.damaged) == (len(whole), 0)


def test_zeros_that_a_lost_power_leaves_are_a_torn_tail() -> None:
    whole = bytes_of(OPENING, entry(1))
    scan = Scan()
    assert tuple(frames_in(whole + bytes(100), scan)) == (OPENING, entry(1))
    assert (scan.end, scan.damaged) == (len(whole), 0)


def test_a_damaged_frame_in_the_middle_is_counted_and_passed_over() -> None:
    first, second, third = bytes_of(OPENING), bytes_of(entry(1)), bytes_of(entry(2))
    for place in range(len(second)):  # the first four bytes are its length
        broken = bytearray(second)
        broken[place] ^= 0xFF
        scan = Scan()
        assert tuple(frames_in(first + bytes(broken) + third, scan)) == (OPENING, entry(2))
        assert (scan.end, scan.damaged) == (len(first + second + third), 1)


def test_a_length_that_was_never_written_is_damage() -> None:
    scan = Scan()
    assert tuple(frames_in(bytes_of(OPENING) + b"\xff" * 40, scan)) == (OPENING,)
    assert scan.damaged == 1


def test_good_frames_are_found_again_wherever_the_damage_lies() -> None:
    before, hurt, after = bytes_of(OPENING, LAYOUT), bytes_of(entry(1), entry(2)), bytes_of(entry(3))
    for bits in (0x01, 0x80, 0xFF):
        for place in range(len(hurt) - 2):
            broken = bytearray(hurt)
            broken[place : place + 3] = bytes(byte ^ bits for byte in broken[place : place + 3])
            scan = Scan()
            found = tuple(frames_in(before + bytes(broken) + after, scan))
            assert (found[:2], found[-1]) == ((OPENING, LAYOUT), entry(3)), (bits, place)
            assert scan.damaged == 1
