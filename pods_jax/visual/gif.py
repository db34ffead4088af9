"""How fast a GIF plays: its clock ticks in hundredths of a second, and browsers show no frame for less than two.

So of steps that are shorter some frames are left out, and each of the others stands until the next one is due, to the
tick. matplotlib's own writer gives all frames one duration, and rounds 1 ms to none, which browsers play as 100 ms.
"""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.animation import PillowWriter

TICKS = 100
"""In a second."""

MIN_TICKS, MAX_TICKS = 2, 60_000
"""How long a frame is shown; a GIF stores 16 bits."""

NUM_FRAMES = 20
"""Of a motion that is over too soon to be seen at its own speed."""


def time_scale(time_step: float, num_frames: int) -> float:
    """How many seconds of a GIF are a second of the motion: 1, or a power of ten where that cannot be shown.

    time_step: [s] between two frames. More than 1 is slower than real time, where all is over within two frames of a
    GIF; less than 1 faster, where a frame would stand longer than a GIF can say.
    """
    shown, longest = TICKS * time_step * num_frames, TICKS * time_step
    if num_frames > 1 and shown < 2 * MIN_TICKS:
        return 10.0 ** math.ceil(math.log10(NUM_FRAMES * MIN_TICKS / shown))
    return 1.0 if longest <= MAX_TICKS else 10.0 ** -math.ceil(math.log10(longest / MAX_TICKS))


def scale_text(scale: float) -> str:
    """What a picture says of its `time_scale`; nothing in real time."""
    if scale == 1:
        return ""
    return f"{scale:g} times slower than real time" if scale > 1 else f"{1 / scale:g} times faster than real time"


def schedule(num_frames: int, frames_per_second: float) -> list[tuple[int, int]]:
    """Which of the frames are shown, and for how many ticks each; together as long as all of them take, to a tick."""
    due = [round(TICKS * index / frames_per_second) for index in range(num_frames + 1)]
    chosen = [0]
    for index in range(1, num_frames):
        if due[index] - due[chosen[-1]] >= MIN_TICKS:
            chosen.append(index)
    if len(chosen) > 1 and due[-1] - due[chosen[-1]] < MIN_TICKS:
        chosen.pop()  # the one before stands to the end
    ends = [due[index] for index in chosen[1:]] + [max(due[-1], MIN_TICKS)]
    return [(index, end - due[index]) for index, end in zip(chosen, ends, strict=True)]


def writer(frames_per_second: float) -> "PillowWriter":
    """What matplotlib writes a GIF with that plays for ever, at the speed of its frames."""
    from matplotlib.animation import PillowWriter

    class Writer(PillowWriter):
        def finish(self) -> None:
            frames = vars(self)["_frames"]
            chosen = schedule(len(frames), frames_per_second)
            first, *others = (frames[index] for index, _ in chosen)
            durations = [1000 // TICKS * ticks for _, ticks in chosen]
            first.save(self.outfile, save_all=True, append_images=others, duration=durations, loop=0)

    return Writer()
