"""A plural noun around a session for each kind of row; whose row it is, is part of every question."""

from academy.repositories.chats import Chats, ChatSessions, Messages
from academy.repositories.replies import Replies
from academy.repositories.tracks import Modules, Tracks

__all__ = ["ChatSessions", "Chats", "Messages", "Modules", "Replies", "Tracks"]
