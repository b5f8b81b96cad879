"""The noisy clip that the demo sends: two sentences in a murmuring room, made by make_clip.py."""

from __future__ import annotations

from pathlib import Path

CLIP_PATH = Path(__file__).with_name("noisy.flac")
"""7 s, 16 kHz, mono; the speech is 5 dB above the noise while it is spoken."""

SPOKEN_SECONDS = ((0.60, 3.54), (4.60, 6.61))
"""(start, end) of each sentence, known from the clip's making; what the voice detector ought to find."""
