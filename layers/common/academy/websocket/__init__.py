"""Functions to Lambda handler of a WebSocket API, and frames to those who are connected."""

from academy.websocket.audience import Address, Audience
from academy.websocket.frames import AiDelta, AiResponse, ErrorFrame, FinalizationComplete, Frame
from academy.websocket.handler import Answer, websocket_handler
from academy.websocket.handshake import Handshake

__all__ = [
    "Address",
    "AiDelta",
    "AiResponse",
    "Answer",
    "Audience",
    "ErrorFrame",
    "FinalizationComplete",
    "Frame",
    "Handshake",
    "websocket_handler",
]
