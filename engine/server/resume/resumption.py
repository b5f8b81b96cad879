"""One call's part in resuming: where its stream goes on, if it is a resumed one, and that it can be resumed again."""

from __future__ import annotations

import logging

import grpc

from ....proto.v1 import wavetile_pb2 as pb
from ...errors import SignalError
from ...session.kept_session import KeptSnapshot
from ..callers import caller_of
from ..served import ServedKeptSession
from ..status import NotKeptError, RefusedError
from ..uninterrupted import uninterrupted
from .keeper import Keeper, LiveResults
from .replay import Replay
from .seal import KeptStream
from .vault import Vault, choose, new_token

logger = logging.getLogger(__name__)


MOST_AHEAD_S = 3600.0
"""Of signal that a client may have heard behind the newest snapshot: more than it could keep to send it again."""

MOST_HELD_S = 10.0
"""Of signal that a model and a resampler may have had inside, and given since; none has so much."""


class Resumption:
    """Made by `resumption`; for the call's coroutine and its reader."""

    def __init__(self, vault: Vault, config: pb.StreamConfig, caller: str) -> None:
        self._vault = vault
        self._resume = config.resume if config.HasField("resume") else None
        self._config = _lasting(config)
        self._caller = caller
        self._found: KeptStream | None = None
        self._snapshot: KeptSnapshot | None = None
        self._keeper: Keeper | None = None
        self._taken = False
        self._is_known = self._heard = False
        """Whether the client may know its token, and whether it does for sure."""
        self._told = 0
        """What the client may forget, as it knows."""

    async def find(self) -> None:
        """Find the stream to resume, if there is one to. Raises what `Vault.find` and `choose` raise."""
        resume = self._resume
        if resume is None:
            return
        if min(resume.next_frame_index, resume.next_sequence_number, resume.next_sample_index) < 0:
            raise SignalError("resume has a negative number; frames, results and samples are counted from 0")
        self._found = await self._vault.find(resume.token, self._caller, self._config)
        self._snapshot = choose(self._found, resume.next_frame_index, resume.next_sample_index)
        if resume.next_sequence_number > resume.next_frame_index + 1:  # the last result may have no frame
            raise SignalError(
                f"next_sequence_number is {resume.next_sequence_number} at frame {resume.next_frame_index}; "
                f"{resume.next_frame_index + 1} at most would work, for each result but the last has a frame"
            )

    @property
    def model_version(self) -> str | None:
        """That the stream to resume was on; None: it is a new one."""
        return None if self._found is None else self._found.model_version

    async def restore(self, session: ServedKeptSession, hop_ns: int) -> None:
        """Let a fresh session go on where the stream to resume was kept, if there is one.

        Raises SnapshotError, and SignalError: the stream has not got as far as the client says that it has heard it.
        """
        if (snapshot := self._snapshot) is not None:
            self._check_ahead(snapshot, hop_ns, session.sample_rate_hz)
            # Who closes the session meanwhile would give its slot to somebody else.
            await uninterrupted(self._vault.ask(lambda: session.go_on_from(snapshot.data)))

    def _check_ahead(self, snapshot: KeptSnapshot, hop_ns: int, sample_rate_hz: int) -> None:
        assert self._resume is not None
        frames = self._resume.next_frame_index - snapshot.frames
        if frames * hop_ns > 1e9 * MOST_AHEAD_S:
            raise SignalError(
                f"next_frame_index is {self._resume.next_frame_index}; the stream was kept at frame {snapshot.frames}, "
                f"and what lies within {MOST_AHEAD_S:g} s of signal behind that would work"
            )
        samples = self._resume.next_sample_index - snapshot.given_samples
        if samples * 1e9 > (frames * hop_ns + 1e9 * MOST_HELD_S) * sample_rate_hz:
            raise SignalError(
                f"next_sample_index is {self._resume.next_sample_index}; {frames} frames behind sample "
                f"{snapshot.given_samples}, where the stream was kept, it has not got so far"
            )

    @property
    def replay(self) -> Replay | None:
        """What is not to be sent again."""
        if self._resume is None or self._snapshot is None:
            return None
        return Replay(
            self._resume.next_frame_index - self._snapshot.frames,
            self._resume.next_sample_index - self._snapshot.given_samples,
        )

    @property
    def next_result(self) -> tuple[int, int, int]:
        """Sequence number, frame and output sample that the first result begins with."""
        resume = self._resume
        if resume is None:
            return 0, 0, 0
        return resume.next_sequence_number, resume.next_frame_index, resume.next_sample_index

    async def begin(self, session: ServedKeptSession, live: LiveResults, model_version: str) -> None:
        """Take the stream over from whoever had it, and keep it. Raises UnknownTokenError, NotKeptError."""
        keeper = Keeper(self._vault, session, self._caller, self._config, model_version, new_token())
        try:
            await uninterrupted(self._take_over(keeper, live))  # else nobody would know of what was taken and added
        except OSError as error:
            logger.warning("a resumable stream was refused: %s", error)
            raise NotKeptError("the server can not keep another resumable stream now; try again later") from None

    async def _take_over(self, keeper: Keeper, live: LiveResults) -> None:
        await keeper.prepare(live)
        if self._resume is not None:
            await self._vault.take(self._resume.token)
            self._taken = True
        await keeper.begin()  # at once, for the room that the stream had is free now
        self._keeper = keeper

    def tell(self, started: pb.StreamStarted) -> None:
        """Fill in what the client has to know."""
        self._is_known = True
        started.resume_token = self.token
        started.next_sequence_number = self.next_result[0]
        if self._snapshot is not None:
            started.resume_from = self._snapshot.fed_samples

    def heard(self, request: pb.StreamRequest) -> bool:
        """Take a request; False: it is none of resuming. Once one has come the client is known to have its token."""
        self._heard = True
        if request.WhichOneof("request") != "received":
            return False
        if self._keeper is not None:
            self._keeper.received(request.received.next_frame_index)
        return True

    def sent(self) -> None:
        """A result has left: keep what the session has taken meanwhile. Returns at once."""
        assert self._keeper is not None
        self._keeper.look()

    def forget(self, result: pb.StreamResult) -> None:
        """Say in a result what the client may forget."""
        assert self._keeper is not None
        result.replay_from = self._told = self._keeper.replay_from

    def forget_now(self) -> pb.StreamResponse | None:
        """The message that says so, where no result has; None: nothing is new."""
        assert self._keeper is not None
        if self._told == self._keeper.replay_from:
            return None
        self._told = self._keeper.replay_from
        return pb.StreamResponse(forget=pb.Forget(replay_from=self._told))

    @property
    def token(self) -> bytes:
        """The stream's newest; it can be resumed with it."""
        assert self._keeper is not None
        return self._keeper.token

    def end(self, *, keep: bool) -> None:
        """The call is over, and its session is closed next, of which to `keep` how it stands.

        A client that has said nothing may not know its new token: the old one works again.
        """
        if self._keeper is not None:
            self._keeper.end(keep=keep and self._is_known)
            if not self._is_known:
                self._vault.drop(self._keeper.token)
        if self._taken and not self._heard and self._resume is not None and self._found is not None:
            self._vault.put_back(self._resume.token, self._found)


async def resumption(vault: Vault, config: pb.StreamConfig, context: grpc.aio.ServicerContext) -> Resumption | None:
    """What a call's config asks for; None: nothing of it. Raises as `Resumption.find`, and RefusedError."""
    if not config.resumable and not config.HasField("resume"):
        return None
    if not vault.resume_for_s:
        raise RefusedError("this server keeps no streams; one without resumable would work")
    found = Resumption(vault, config, caller_of(context))
    await found.find()
    return found


def _lasting(config: pb.StreamConfig) -> bytes:
    """The config less what belongs to one call alone."""
    lasting = pb.StreamConfig()
    lasting.CopyFrom(config)
    lasting.ClearField("resume")
    lasting.ClearField("resumable")
    return lasting.SerializeToString(deterministic=True)
