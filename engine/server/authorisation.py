"""The one interceptor that every call passes: it knows the caller, or refuses before a message is read."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import grpc

from .callers import Caller, Requirement, TokenVerifier, current_caller, requirement

logger = logging.getLogger(__name__)

Handler = grpc.RpcMethodHandler
Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]]


class Authorisation(grpc.aio.ServerInterceptor):
    """Lets a call through to its handler if its caller has the permission that the method asks for.

    Without `verifiers` everybody whom the transport lets in is `anyone`. A refused call is answered at once, whatever
    it sends, and is told nothing but what kind of thing is missing; the log has the reason.
    """

    def __init__(self, verifiers: Sequence[TokenVerifier], anyone: Caller) -> None:
        self._verifiers = verifiers
        self._anyone = anyone
        self.refused: Counter[str] = Counter()
        """Calls that were refused, by the status's name."""
        self._unauthenticated = _refusal(grpc.StatusCode.UNAUTHENTICATED, "this call needs a valid bearer token")
        self._denied = _refusal(grpc.StatusCode.PERMISSION_DENIED, "this caller may not make this call")

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        """The method's own handler, None where there is none, or one that refuses."""
        method = handler_call_details.method
        needed = requirement(method)
        if needed is Requirement.NOTHING:
            return await continuation(handler_call_details)
        metadata = handler_call_details.invocation_metadata or ()
        caller = self.caller([value for key, value in metadata if key == "authorization"])
        if caller is None:
            about = {"event": "call_refused", "method": method[:200], "status": "UNAUTHENTICATED"}
            logger.info("%.200r: refused, no valid token", method, extra=about)
            self.refused["UNAUTHENTICATED"] += 1
            return self._unauthenticated
        if needed is not Requirement.ANY_CALLER and needed not in caller.permissions:
            about = {"event": "call_refused", "method": method[:200], "status": "PERMISSION_DENIED"}
            about |= {"caller": caller.name, "permission": needed.value}
            text = "%.200r: refused, %.200r lacks the permission %r"
            logger.info(text, method, caller.name, needed.value, extra=about)
            self.refused["PERMISSION_DENIED"] += 1
            return self._denied
        logger.debug("%s: called by %.200r", method, caller.name)
        current_caller.set(caller)
        return await continuation(handler_call_details)

    def caller(self, values: Sequence[str | bytes]) -> Caller | None:
        """Who shows these values of `authorization`; None: nobody who is known."""
        if not self._verifiers:
            return self._anyone
        if len(values) != 1 or not isinstance(values[0], str):
            return None
        scheme, _, token = values[0].partition(" ")
        if scheme.lower() != "bearer":
            return None
        return next((caller for one in self._verifiers if (caller := one.caller(token)) is not None), None)


def _refusal(code: grpc.StatusCode, message: str) -> Handler:
    """A handler that ends any call with this status. As one of streams it does not wait for a request first."""

    async def refuse(_: object, context: grpc.aio.ServicerContext) -> None:
        await context.abort(code, message)

    return grpc.stream_stream_rpc_method_handler(refuse)
