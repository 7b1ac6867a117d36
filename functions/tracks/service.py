"""Tracks: what somebody wants to learn, and how far they are."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from academy.models import Track
from academy.observability import logger
from academy.paging import Page
from academy.repositories import Tracks


def list_tracks(session: Session, *, owner_id: str, page: Page) -> Sequence[Track]:
    return Tracks(session).newest(owner_id=owner_id, page=page)


def get_track(session: Session, track_id: UUID, *, owner_id: str) -> Track:
    return Tracks(session).get(track_id, owner_id=owner_id)


def create_track(session: Session, *, owner_id: str, fields: dict[str, Any]) -> Track:
    track = Tracks(session).add(Track(user_id=owner_id, **fields))
    logger.info("track created", track_id=track.id, user_id=owner_id)
    return track


def change_track(session: Session, track_id: UUID, *, owner_id: str, changes: dict[str, Any]) -> Track:
    track = Tracks(session).get(track_id, owner_id=owner_id)
    for name, value in changes.items():
        setattr(track, name, value)
    session.flush()
    return track


def delete_track(session: Session, track_id: UUID, *, owner_id: str) -> None:
    Tracks(session).delete(track_id, owner_id=owner_id)
    logger.info("track deleted", track_id=track_id, user_id=owner_id)
