"""`/api/tracks`; also `/api` itself, which says that the platform is up.

It says so here, where no password is hashed: nobody waits for other people's log-ins to hear it.
"""

from collections.abc import Sequence
from uuid import UUID

from academy.http import CurrentUser, PaginatorDep, Router, SessionDep, lambda_handler
from academy.models import Track
from academy.paging import newest_first_key
from tracks import service
from tracks.schemas import Deleted, HealthOut, TrackIn, TrackOut, TrackPatch

router = Router(prefix="/tracks", tag="tracks")
status_router = Router(prefix="", tag="status")


@status_router.get("", response_model=HealthOut)
def root() -> HealthOut:
    return HealthOut()


@status_router.get("/health", response_model=HealthOut)
def health() -> HealthOut:
    return HealthOut()


@router.get("", response_model=list[TrackOut])
def list_tracks(user: CurrentUser, session: SessionDep, paginator: PaginatorDep) -> Sequence[Track]:
    tracks = service.list_tracks(session, owner_id=user.id, page=paginator.page)
    return paginator.cut(tracks, newest_first_key)


@router.post("", status_code=201, response_model=TrackOut)
def create_track(body: TrackIn, user: CurrentUser, session: SessionDep) -> Track:
    return service.create_track(session, owner_id=user.id, fields=body.model_dump())


@router.get("/{track_id}", response_model=TrackOut)
def get_track(track_id: UUID, user: CurrentUser, session: SessionDep) -> Track:
    return service.get_track(session, track_id, owner_id=user.id)


@router.put("/{track_id}", response_model=TrackOut)
def change_track(track_id: UUID, body: TrackPatch, user: CurrentUser, session: SessionDep) -> Track:
    changes = body.model_dump(exclude_unset=True)
    return service.change_track(session, track_id, owner_id=user.id, changes=changes)


@router.delete("/{track_id}", response_model=Deleted)
def delete_track(track_id: UUID, user: CurrentUser, session: SessionDep) -> Deleted:
    service.delete_track(session, track_id, owner_id=user.id)
    return Deleted(message="The track and everything in it has been deleted.")


handler = lambda_handler(router, status_router)
